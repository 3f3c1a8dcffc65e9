_base_ = 'tfinet_hrnet18.py'
model = dict(
    backbone=dict(width=44, init_cfg=dict(checkpoint='pretrained/hrnet_w44.pth')),
    neck=dict(in_channels=660),
    semantic_head=dict(in_channels=660),
    change_head=dict(in_channels=1320),
)
