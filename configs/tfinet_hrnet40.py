# Other widths differ in the width and the weights alone.
_base_ = 'tfinet_hrnet18.py'
model = dict(
    backbone=dict(width=40, init_cfg=dict(checkpoint='open-mmlab://msra/hrnetv2_w40')),
    # Reduced to W18's 270 channels first, or the neck would cost more than the backbone.
    neck=dict(channels=270),
)
