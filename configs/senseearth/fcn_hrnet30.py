# open-mmlab has no ImageNet weights of this width; put HRNet's own file there.
_base_ = 'fcn_hrnet18.py'
model = dict(
    backbone=dict(width=30, init_cfg=dict(checkpoint='pretrained/hrnet_w30.pth')),
    semantic_head=dict(in_channels=450, channels=112),
    change_head=dict(in_channels=450, channels=112),
)
