# Trained again on labels and pseudo labels, where every class weighs 1.
_base_ = [
    '../_base_/models/senseearth_pspnet_hrnet18.py',
    '../_base_/datasets/second_split_c_pseudo.py',
    '../_base_/schedules/senseearth_30e.py',
    '../_base_/default_runtime.py',
]
lightweight = dict(type='tfinet_mm.LightweightConv')
model = dict(
    semantic_head=dict(conv_cfg=lightweight, loss_decode=dict(class_weight=None)),
    change_head=dict(conv_cfg=lightweight),
)
