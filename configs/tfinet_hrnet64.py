_base_ = 'tfinet_hrnet18.py'
model = dict(
    backbone=dict(width=64, init_cfg=dict(checkpoint='pretrained/hrnet_w64.pth')),
    neck=dict(in_channels=960),
    semantic_head=dict(in_channels=960),
    change_head=dict(in_channels=1920),
)
