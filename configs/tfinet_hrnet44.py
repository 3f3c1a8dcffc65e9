# open-mmlab has no ImageNet weights of this width; put HRNet's own file there.
_base_ = 'tfinet_hrnet18.py'
model = dict(
    backbone=dict(width=44, init_cfg=dict(checkpoint='pretrained/hrnet_w44.pth')),
    # Reduced to W18's 270 channels first, or the neck would cost more than the backbone.
    neck=dict(in_channels=660, channels=270),
)
