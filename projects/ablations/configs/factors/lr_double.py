_base_ = './base.py'
optim_wrapper = dict(optimizer=dict(lr=8e-3))
