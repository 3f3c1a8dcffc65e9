# TFINet for little time: interaction and difference enhancement on all four levels of a ResNet-18,
# each reduced to 64 channels, and UPerHeads of 64 channels. A fifth of the published operations.
_base_ = 'baselines/scd_upernet_r18.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='tfinet_mm.FeatureInteraction',
        in_channels=(64, 128, 256, 512),
        channels=64,
        refine='conv',
        change='difference',
    ),
    semantic_head=dict(in_channels=[64, 64, 64, 64]),
    change_head=dict(in_channels=[128, 128, 128, 128]),
    auxiliary_head=dict(
        _delete_=True,
        type='tfinet_mm.DifferenceHead',
        branch='difference',
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=1.0, loss_weight=2.0),
    ),
)
