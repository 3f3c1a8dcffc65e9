# The weights that the package ships: the default network on generated pairs alone, each seen once.
_base_ = '../../configs/tfinet_lite0_fpn.py'

per_epoch = 2000
epochs = 40
world = dict(size=256, seed=1)

model = dict(
    # Land cover is known on every pixel, so classes need no weight for being rare where something
    # changed; sports grounds are rare everywhere.
    semantic_head=dict(loss_decode=dict(class_weight=(1.0, 1.0, 1.0, 1.0, 1.5, 2.0))),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(_delete_=True, type='tfinet_mm.StreamSampler', per_epoch=per_epoch),
    dataset=dict(
        _delete_=True,
        type='tfinet_mm.GeneratedSCDDataset',
        num_pairs=per_epoch * epochs,
        world=world,
        pipeline=[
            dict(type='tfinet_mm.LoadGeneratedPair'),
            dict(type='tfinet_mm.RandomFlipOrRotate'),
            dict(type='tfinet_mm.PackPairInputs'),
        ],
    ),
)
held_out = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='tfinet_mm.GeneratedSCDDataset',
        num_pairs=96,
        first=10_000_000,
        world=world,
        test_mode=True,
        pipeline=[
            dict(type='tfinet_mm.LoadGeneratedPair'),
            dict(type='tfinet_mm.PackPairInputs'),
        ],
    ),
)
val_dataloader = held_out

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.02),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=200),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=epochs + 2, by_epoch=True),
]
train_cfg = dict(max_epochs=epochs, val_interval=4)
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.002, update_buffers=True),
]
default_hooks = dict(logger=dict(interval=25), visualization=dict(number=8))
randomness = dict(seed=0)
