# From the average of the first two: school grounds, far-reaching woods, stretched images. It stops
# before the end of its schedule, where the pairs that choose between runs scored worse.
_base_ = './base.py'

steps, schedule, warmup, per_epoch = 1350, 2900, 145, 50
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(per_epoch=8 * per_epoch),
    dataset=dict(first=4_000_000, world=dict(size=160, resolutions=(0.3, 5.0))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=warmup),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=warmup, end=schedule + 1),
]
train_cfg = dict(max_epochs=steps // per_epoch, val_interval=steps // per_epoch)
randomness = dict(seed=3)
