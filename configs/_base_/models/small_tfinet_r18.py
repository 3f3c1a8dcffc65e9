# TFINet on a ResNet-18 of half the width, from scratch: minutes on a CPU.
_base_ = './tfinet_r18.py'
model = dict(
    backbone=dict(base_channels=32, init_cfg=None),
    neck=dict(in_channels=256),
    semantic_head=dict(in_channels=256, blocks=((64,), (32,))),
    change_head=dict(in_channels=512, blocks=((128, 64), (32,), (16,))),
    autocast='auto',
)
