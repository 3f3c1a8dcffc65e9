_base_ = 'fcn_hrnet18.py'
model = dict(
    backbone=dict(width=32, init_cfg=dict(checkpoint='open-mmlab://msra/hrnetv2_w32')),
    semantic_head=dict(in_channels=480, channels=120),
    change_head=dict(in_channels=480, channels=120),
)
