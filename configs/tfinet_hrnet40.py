_base_ = 'tfinet_hrnet18.py'
model = dict(
    backbone=dict(width=40, init_cfg=dict(checkpoint='open-mmlab://msra/hrnetv2_w40')),
    neck=dict(in_channels=600),
    semantic_head=dict(in_channels=600),
    change_head=dict(in_channels=1200),
)
