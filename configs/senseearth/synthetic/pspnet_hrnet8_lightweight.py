_base_ = [
    '../../_base_/models/senseearth_pspnet_hrnet18.py',
    '../../_base_/datasets/synthetic.py',
    '../../_base_/schedules/senseearth_synthetic.py',
    '../../_base_/default_runtime.py',
]
lightweight = dict(type='tfinet_mm.LightweightConv')
model = dict(
    backbone=dict(width=8, init_cfg=None),
    semantic_head=dict(in_channels=120, channels=30, conv_cfg=lightweight),
    change_head=dict(in_channels=120, channels=30, conv_cfg=lightweight),
    autocast='bfloat16',
)
