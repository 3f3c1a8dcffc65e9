_base_ = 'fcn_hrnet44.py'
lightweight = dict(type='tfinet_mm.LightweightConv')
model = dict(semantic_head=dict(conv_cfg=lightweight), change_head=dict(conv_cfg=lightweight))
