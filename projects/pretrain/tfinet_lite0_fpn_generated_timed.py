# As tfinet_lite0_fpn_generated.py, for a GPU that is there for minutes.
_base_ = './tfinet_lite0_fpn_generated.py'
custom_imports = dict(imports=['projects.pretrain.timed_schedule'])
param_scheduler = None
train_dataloader = dict(
    batch_size=16,
    num_workers=15,
    prefetch_factor=4,
    pin_memory=True,
    sampler=dict(per_epoch=1600),
    dataset=dict(num_pairs=160_000),
)
optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
train_cfg = dict(max_epochs=100_000, val_interval=100_000)
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.004, update_buffers=True),
    dict(type='tfinet_mm.TimedScheduleHook', seconds=265, out='.'),
]
default_hooks = dict(checkpoint=dict(interval=100_000, save_last=False, save_best=None))
