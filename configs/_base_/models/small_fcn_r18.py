# FCN, lightweight, on a ResNet-18 of half the width, from scratch: minutes on a CPU.
_base_ = './small_pspnet_r18.py'
model = dict(
    change_head=dict(
        _delete_=True,
        type='mmseg.FCNHead',
        in_channels=256,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        conv_cfg=dict(type='tfinet_mm.LightweightConv'),
        norm_cfg=dict(type='BN'),
        num_classes=1,
        threshold=0.5,
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
    ),
)
