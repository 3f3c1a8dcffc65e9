# open-mmlab has no ImageNet weights of this width; put HRNet's own file there.
_base_ = 'fcn_hrnet18.py'
model = dict(
    backbone=dict(width=64, init_cfg=dict(checkpoint='pretrained/hrnet_w64.pth')),
    semantic_head=dict(in_channels=960, channels=240),
    change_head=dict(in_channels=960, channels=240),
)
