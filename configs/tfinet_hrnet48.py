_base_ = 'tfinet_hrnet18.py'
model = dict(
    backbone=dict(width=48, init_cfg=dict(checkpoint='open-mmlab://msra/hrnetv2_w48')),
    # Reduced to W18's 270 channels first, or the neck would cost more than the backbone.
    neck=dict(in_channels=720, channels=270),
)
