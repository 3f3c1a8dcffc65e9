# The second run: on one core, from the weights of the first, on smaller and coarser pairs.
_base_ = './tfinet_lite0_fpn_generated_timed.py'
load_from = None  # --cfg-options load_from=WEIGHTS of the first run
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    pin_memory=False,
    sampler=dict(per_epoch=400),
    dataset=dict(world=dict(size=160, resolutions=(0.4, 5.0)), first=2_000_000),
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.005, update_buffers=True),
    dict(type='tfinet_mm.TimedScheduleHook', seconds=3000, out='.'),
]
randomness = dict(seed=2)
