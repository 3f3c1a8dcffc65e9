_base_ = 'deeplabv3plus_r18_lightweight.py'
model = dict(
    change_head=dict(
        _delete_=True,
        type='mmseg.PSPHead',
        in_channels=256,
        channels=64,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        conv_cfg=dict(type='tfinet_mm.LightweightConv'),
        norm_cfg=dict(type='BN'),
        num_classes=1,
        threshold=0.5,
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
    )
)
