_base_ = 'deeplabv3plus_r18.py'
model = dict(backbone=dict(depth=34, init_cfg=dict(checkpoint='torchvision://resnet34')))
