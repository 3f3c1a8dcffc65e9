# The network that Open-CD ships for semantic change detection, on this package's detector: all four
# levels of ResNet-18 (three 3x3 convolutions for a stem), the absolute difference of every level,
# and a UPerHead of 64 channels for either role. Losses and schedule are TFINet's, so that only the
# network differs.
_base_ = '../tfinet_r18.py'
upernet = dict(
    _delete_=True,
    type='mmseg.UPerHead',
    in_channels=[64, 128, 256, 512],
    in_index=[0, 1, 2, 3],
    pool_scales=(1, 2, 3, 6),
    channels=64,
    dropout_ratio=0.1,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
model = dict(
    backbone=dict(
        type='mmseg.ResNetV1c',
        strides=(1, 2, 2, 2),
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(checkpoint='open-mmlab://resnet18_v1c'),
    ),
    neck=dict(_delete_=True, type='tfinet_mm.AbsoluteDifference'),
    semantic_head=dict(
        **upernet,
        num_classes=6,
        loss_decode=dict(type='tfinet_mm.SemanticCELoss', class_weight=(2, 2, 3, 3, 2, 1)),
    ),
    change_head=dict(
        **upernet,
        num_classes=1,
        threshold=0.5,
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
    ),
    auxiliary_head=None,
)
