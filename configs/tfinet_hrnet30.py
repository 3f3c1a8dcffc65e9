_base_ = 'tfinet_hrnet18.py'
model = dict(
    backbone=dict(width=30, init_cfg=dict(checkpoint='pretrained/hrnet_w30.pth')),
    neck=dict(in_channels=450),
    semantic_head=dict(in_channels=450),
    change_head=dict(in_channels=900),
)
