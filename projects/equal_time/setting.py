# The setting of comparisons on the embedded data: small pairs, batches of 8, from scratch, the same
# augmentation, optimizer and schedule for every network. Without a model: run.py puts one in, and
# sets max_iters and end.
_base_ = ['../../configs/_base_/datasets/synthetic.py', '../../configs/_base_/default_runtime.py']

data_root = 'data/study'
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

# bfloat16 halves a step's time on CPUs that have it. Overrides what a network's config says.
model = dict(autocast='auto')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=30, end=1000, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=100000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# The last checkpoint is scored: no validation costs time or chooses a better moment.
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=500, save_best=None, max_keep_ckpts=2),
    logger=dict(interval=20),
    visualization=dict(interval=0),
)
log_processor = dict(by_epoch=False)
