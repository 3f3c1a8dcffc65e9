# TFINet's pyramid on EfficientNet-Lite2.
_base_ = './tfinet_lite0_fpn.py'
model = dict(
    backbone=dict(arch='lite2', init_cfg=dict(checkpoint='efficientnet_lite2')),
    neck=dict(in_channels=(24, 48, 120, 352)),
)
