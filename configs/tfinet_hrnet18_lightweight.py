# Depthwise separable 3x3 convolutions in both decoders.
_base_ = 'tfinet_hrnet18.py'
lightweight = dict(type='tfinet_mm.LightweightConv')
model = dict(semantic_head=dict(conv_cfg=lightweight), change_head=dict(conv_cfg=lightweight))
