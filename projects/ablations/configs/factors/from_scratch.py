# Random weights.
_base_ = './base.py'
model = dict(backbone=dict(init_cfg=None))
