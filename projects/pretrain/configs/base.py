# The weights that the package ships: the default network on generated pairs alone, each seen once.
# Shared by all trainings of run.py; first.py, second.py and third.py set the data and the length.
_base_ = '../../../configs/tfinet_lite0_fpn.py'

world = dict(size=256, seed=1)

model = dict(
    # Land cover is known on every pixel, so classes need no weight for being rare where something
    # changed; sports grounds are rare everywhere.
    semantic_head=dict(loss_decode=dict(class_weight=(1.0, 1.0, 1.0, 1.0, 1.5, 2.0))),
    # Windows bound the memory of large images, which scale 2 makes four times as large.
    test_cfg=dict(mode='slide', crop_size=(1088, 1088), stride=(960, 960)),
)
# Scenes are read in windows of this size.
window = 512
train_dataloader = dict(
    persistent_workers=True,
    drop_last=True,
    sampler=dict(_delete_=True, type='tfinet_mm.StreamSampler', per_epoch=400),
    dataset=dict(
        _delete_=True,
        type='tfinet_mm.GeneratedSCDDataset',
        num_pairs=1_000_000,
        world=world,
        pipeline=[
            dict(type='tfinet_mm.LoadGeneratedPair'),
            dict(type='tfinet_mm.RandomFlipOrRotate'),
            dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
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
            dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
        ],
    ),
)
val_dataloader = held_out

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=5e-4, weight_decay=0.02),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))),
    clip_grad=dict(max_norm=5.0),
)
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.005, update_buffers=True),
]
default_hooks = dict(
    checkpoint=dict(interval=2, max_keep_ckpts=1, save_best=None),
    logger=dict(interval=25),
    visualization=dict(number=8),
)

# Exported with the weights for predicting: each pair at three sizes; --tta adds flips and
# rotations at each of them.
default_tta = dict(transforms=['identity'], scales=[0.5, 1.0, 2.0])
tta_model = dict(scales=[0.5, 1.0, 2.0])
