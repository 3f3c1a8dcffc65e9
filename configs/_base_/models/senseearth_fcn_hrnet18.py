# SenseEarth 2020: FCN heads on HRNet-W18 and the plain absolute difference. in_channels=None and
# channels=None follow the width of the backbone, so another width needs its own weights alone.
model = dict(
    type='tfinet_mm.SemanticChangeDetector',
    data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor'),
    backbone=dict(
        type='tfinet_mm.FusedHRNet',
        width=18,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w18'),
    ),
    neck=dict(type='tfinet_mm.AbsoluteDifference'),
    semantic_head=dict(
        type='mmseg.FCNHead',
        in_channels=None,
        channels=None,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        num_classes=6,
        loss_decode=dict(type='tfinet_mm.SemanticCELoss', class_weight=(2, 1, 2, 2, 1, 1)),
    ),
    change_head=dict(
        type='mmseg.FCNHead',
        in_channels=None,
        channels=None,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        num_classes=1,
        threshold=0.5,
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
    ),
    test_cfg=dict(mode='whole'),
)
