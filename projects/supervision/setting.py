# Shared by every training of the study: the default network from the weights of the package,
# batches of 4, the same number of steps.
_base_ = [
    '../../configs/_base_/models/tfinet_lite0_fpn.py',
    '../../configs/_base_/datasets/pairs.py',
    '../../configs/_base_/default_runtime.py',
]

epochs = 5
steps = 60
load_from = 'tfinet_lite0_fpn_generated'
model = dict(autocast='auto')
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, drop_last=True)
val_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
test_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.02),
    # The backbone has the least to learn.
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=6, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=6, end=steps + 1, by_epoch=False),
]
# Made-up pairs are drawn again in each epoch.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=100_000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    checkpoint=dict(interval=100_000, save_best=None, save_last=False),
    logger=dict(interval=12),
    visualization=dict(interval=0),
    label_check=None,
)
randomness = dict(seed=0)
