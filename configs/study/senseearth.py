# SenseEarth's PSPNet, lightweight, on a ResNet-18 of half the width.
_base_ = [
    '../_base_/models/senseearth_deeplabv3plus_r18.py',
    '../_base_/settings/study.py',
]
lightweight = dict(type='tfinet_mm.LightweightConv')
model = dict(
    backbone=dict(base_channels=32, stem_channels=32, out_indices=(3,), init_cfg=None),
    semantic_head=dict(in_channels=256, channels=64, conv_cfg=lightweight),
    change_head=dict(
        _delete_=True,
        type='mmseg.PSPHead',
        in_channels=256,
        channels=64,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        conv_cfg=lightweight,
        norm_cfg=dict(type='BN'),
        num_classes=1,
        threshold=0.5,
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
    ),
    autocast='bfloat16',
)
