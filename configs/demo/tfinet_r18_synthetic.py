# TFINet at half the width, trained by `make train-demo` on small pairs, in minutes on a CPU.
_base_ = [
    '../_base_/models/small_tfinet_r18.py',
    '../_base_/datasets/synthetic.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/default_runtime.py',
]
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(end=20)
train_cfg = dict(max_epochs=18, val_interval=3)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=10), visualization=dict(number=5))
