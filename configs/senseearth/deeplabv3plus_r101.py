# ResNet-50 and 152 differ in the depth and the weights alone.
_base_ = 'deeplabv3plus_r18.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    semantic_head=dict(in_channels=2048, channels=512),
    change_head=dict(in_channels=(256, 2048)),
)
