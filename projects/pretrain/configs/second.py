# From the weights of the first, on smaller and coarser pairs: 2,000 steps of 8.
_base_ = './base.py'

steps, warmup, per_epoch = 2000, 100, 50
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(per_epoch=8 * per_epoch),
    dataset=dict(first=2_000_000, world=dict(size=160, resolutions=(0.4, 5.0))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=warmup),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=warmup, end=steps + 1),
]
train_cfg = dict(max_epochs=steps // per_epoch, val_interval=steps // per_epoch)
randomness = dict(seed=2)
