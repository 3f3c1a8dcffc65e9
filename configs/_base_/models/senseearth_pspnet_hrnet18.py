# SenseEarth 2020: pyramid pooling reads the change, the land cover stays with the FCN head.
_base_ = './senseearth_fcn_hrnet18.py'
model = dict(
    change_head=dict(
        _delete_=True,
        type='mmseg.PSPHead',
        in_channels=None,
        channels=None,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        num_classes=1,
        threshold=0.5,
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
    )
)
