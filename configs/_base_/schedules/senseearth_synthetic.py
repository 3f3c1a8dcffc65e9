# SenseEarth's schedule in minutes on a CPU: from scratch, so the backbone learns as fast as the
# heads, for a few epochs.
_base_ = './senseearth_30e.py'
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=None)
param_scheduler = dict(end=10)
train_cfg = dict(max_epochs=10, val_interval=2)
randomness = dict(seed=0)
