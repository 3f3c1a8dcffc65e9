_base_ = 'deeplabv3plus_r18.py'
model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='torchvision://resnet50')),
    semantic_head=dict(in_channels=2048, channels=512),
    change_head=dict(in_channels=(256, 2048)),
)
