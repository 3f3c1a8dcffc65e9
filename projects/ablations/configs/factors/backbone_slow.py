# The backbone learns at a tenth of the rate.
_base_ = './base.py'
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
