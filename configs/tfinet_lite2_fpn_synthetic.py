# On the synthetic data set, in minutes on a CPU, with the schedule of `make train-demo`.
_base_ = [
    '_base_/models/tfinet_lite2_fpn.py',
    '_base_/datasets/synthetic.py',
    '_base_/schedules/schedule_50e.py',
    '_base_/default_runtime.py',
]
model = dict(autocast='auto')
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(end=20)
train_cfg = dict(max_epochs=18, val_interval=3)
