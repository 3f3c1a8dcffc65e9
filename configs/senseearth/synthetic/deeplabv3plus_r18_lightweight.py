_base_ = [
    '../../_base_/models/senseearth_deeplabv3plus_r18.py',
    '../../_base_/datasets/synthetic.py',
    '../../_base_/schedules/senseearth_synthetic.py',
    '../../_base_/default_runtime.py',
]
# ResNet at half the width; a step takes half as long as HRNet's.
lightweight = dict(type='tfinet_mm.LightweightConv')
model = dict(
    backbone=dict(base_channels=32, stem_channels=32, init_cfg=None),
    semantic_head=dict(in_channels=256, channels=64, conv_cfg=lightweight),
    change_head=dict(in_channels=(32, 256), conv_cfg=lightweight),
    autocast='bfloat16',
)
param_scheduler = dict(end=10)
train_cfg = dict(max_epochs=10)
