# TFINet on ResNet-18 at 1/8: 512 channels, three x2 steps in either decoder.
# Differs from the published network in one place: a plain 1x1 classifier reads
# the land cover, where the published one ends in a ReLU (see ../../published).
model = dict(
    type='tfinet_mm.SemanticChangeDetector',
    data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor'),
    backbone=dict(
        type='mmseg.ResNet',
        depth=18,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 1, 1),
        out_indices=(3,),
        norm_cfg=dict(type='BN'),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'),
    ),
    neck=dict(type='tfinet_mm.FeatureInteraction', in_channels=512),
    semantic_head=dict(
        type='tfinet_mm.ProgressiveHead',
        in_channels=512,
        blocks=((128,), (32,)),
        stride=8,
        num_classes=6,
        loss_decode=dict(type='tfinet_mm.SemanticCELoss', class_weight=(2, 2, 3, 3, 2, 1)),
    ),
    change_head=dict(
        type='tfinet_mm.ProgressiveHead',
        in_channels=1024,
        blocks=((512, 128, 128), (64,), (32,)),
        stride=8,
        num_classes=1,
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
    ),
    auxiliary_head=dict(
        type='tfinet_mm.DifferenceHead',
        branch='difference',
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=1.0, loss_weight=2.0),
    ),
    test_cfg=dict(mode='whole'),
)
