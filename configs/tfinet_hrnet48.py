_base_ = 'tfinet_hrnet18.py'
model = dict(
    backbone=dict(width=48, init_cfg=dict(checkpoint='open-mmlab://msra/hrnetv2_w48')),
    neck=dict(in_channels=720),
    semantic_head=dict(in_channels=720),
    change_head=dict(in_channels=1440),
)
