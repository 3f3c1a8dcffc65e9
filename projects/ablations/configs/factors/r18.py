# ResNet-18 as the backbone, with random weights: compare it with from_scratch.py, not with base.py.
_base_ = './base.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmseg.ResNet',
        depth=18,
        norm_cfg=dict(type='BN'),
    ),
    neck=dict(in_channels=(64, 128, 256, 512)),
)
