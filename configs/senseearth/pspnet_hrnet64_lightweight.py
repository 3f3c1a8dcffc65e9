_base_ = 'pspnet_hrnet64.py'
lightweight = dict(type='tfinet_mm.LightweightConv')
model = dict(semantic_head=dict(conv_cfg=lightweight), change_head=dict(conv_cfg=lightweight))
