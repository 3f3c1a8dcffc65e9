# From ImageNet's weights, on large pairs: 1,000 steps of 16. Takes minutes on a GPU, hours on a CPU.
_base_ = './base.py'

steps, warmup, per_epoch = 1000, 50, 100
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    sampler=dict(per_epoch=16 * per_epoch),
)
optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=warmup),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=warmup, end=steps + 1),
]
train_cfg = dict(max_epochs=steps // per_epoch, val_interval=steps // per_epoch)
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.004, update_buffers=True),
]
randomness = dict(seed=0)
