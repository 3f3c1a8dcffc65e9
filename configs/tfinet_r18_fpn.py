# TFINet for little time: interaction and difference enhancement on all four levels of a ResNet-18,
# each reduced to 48 channels, and UPerHeads of 48 channels. A sixth of the published operations.
_base_ = 'baselines/scd_upernet_r18.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='tfinet_mm.FeatureInteraction',
        in_channels=(64, 128, 256, 512),
        channels=48,
        refine='conv',
        change='difference',
    ),
    semantic_head=dict(in_channels=[48, 48, 48, 48], channels=48),
    change_head=dict(in_channels=[96, 96, 96, 96], channels=48),
    auxiliary_head=dict(
        _delete_=True,
        type='tfinet_mm.DifferenceHead',
        branch='difference',
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=1.0, loss_weight=2.0),
    ),
)
