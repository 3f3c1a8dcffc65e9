# Shared by every training of the study: the default network, batches of 8, the same steps.
_base_ = [
    '../../configs/_base_/models/tfinet_lite0_fpn.py',
    '../../configs/_base_/datasets/pairs.py',
    '../../configs/_base_/default_runtime.py',
]

steps = 240
model = dict(autocast='auto')
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
test_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=20, end=steps + 1, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps, val_interval=100_000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=100_000, save_best=None, save_last=False),
    logger=dict(interval=40),
    visualization=dict(interval=0),
    label_check=None,
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
