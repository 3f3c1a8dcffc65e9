# TFINet on HRNet-W18: one level of 270 channels at 1/4, so two x2 steps, and
# decoders about half as wide as on ResNet's 512 channels.
model = dict(
    type='tfinet_mm.SemanticChangeDetector',
    data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor'),
    backbone=dict(
        type='tfinet_mm.FusedHRNet',
        width=18,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w18'),
    ),
    neck=dict(type='tfinet_mm.FeatureInteraction', in_channels=270),
    semantic_head=dict(
        type='tfinet_mm.ProgressiveHead',
        in_channels=270,
        blocks=((128,), (32,)),
        stride=4,
        num_classes=6,
        loss_decode=dict(type='tfinet_mm.SemanticCELoss', class_weight=(2, 2, 3, 3, 2, 1)),
    ),
    change_head=dict(
        type='tfinet_mm.ProgressiveHead',
        in_channels=540,
        blocks=((256, 128), (64, 32)),
        stride=4,
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
