# The weights are scored as their exponential moving average.
_base_ = './base.py'
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
