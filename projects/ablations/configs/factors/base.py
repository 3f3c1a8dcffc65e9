# What every training of the study of factors begins from: the default network on ImageNet's
# weights, 128 x 128 pairs in batches of 8. Each file beside this one changes one thing.
# projects/equal_time/run.py sets max_iters, and ends the schedules with it.
_base_ = [
    '../../../../configs/_base_/models/tfinet_lite0_fpn.py',
    '../../../../configs/_base_/datasets/synthetic.py',
    '../../../../configs/_base_/default_runtime.py',
]

data_root = 'data/study'
# In this process, so that a training takes one core.
held_out = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root + '/val'),
)
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root + '/train'),
)
val_dataloader = held_out
test_dataloader = held_out

model = dict(autocast='auto')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=20, end=1000, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=100_000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# The last checkpoint is scored: no validation costs time or chooses a better moment.
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=100_000, save_best=None, max_keep_ckpts=1),
    logger=dict(interval=20),
    visualization=dict(interval=0),
    label_check=None,
)
log_processor = dict(by_epoch=False)
