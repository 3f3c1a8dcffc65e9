# DeepLabV3+, lightweight, on a ResNet-18 of half the width, from scratch: minutes on a CPU.
_base_ = './senseearth_deeplabv3plus_r18.py'
lightweight = dict(type='tfinet_mm.LightweightConv')
model = dict(
    backbone=dict(base_channels=32, stem_channels=32, init_cfg=None),
    semantic_head=dict(in_channels=256, channels=64, conv_cfg=lightweight),
    change_head=dict(in_channels=(32, 256), conv_cfg=lightweight),
    autocast='auto',
)
