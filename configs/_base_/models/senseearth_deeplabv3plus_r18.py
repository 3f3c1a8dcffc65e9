# SenseEarth 2020: DeepLabV3+ reads the change, on a dilated ResNet.
_base_ = './senseearth_fcn_hrnet18.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmseg.ResNet',
        depth=18,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
        out_indices=(0, 3),
        norm_cfg=dict(type='BN'),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'),
    ),
    semantic_head=dict(in_channels=512, channels=128),
    change_head=dict(
        _delete_=True,
        type='tfinet_mm.DeepLabV3PlusHead',
        in_channels=(64, 512),
        dropout_ratio=0.1,
        num_classes=1,
        loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
    ),
)
