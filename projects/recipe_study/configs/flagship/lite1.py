_base_ = 'setting.py'
model = dict(backbone=dict(arch='lite1', init_cfg=dict(checkpoint='efficientnet_lite1')))
