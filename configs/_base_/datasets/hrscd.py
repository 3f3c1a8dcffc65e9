# HRSCD as released, its archives unpacked side by side into data/hrscd. Tiles of 10000 x 10000
# pixels are read in windows: of 512 for training, of 500 for testing, which divide a tile
# without overlap, so that no pixel is scored twice. One tile in five tests, one validates.
dataset_type = 'tfinet_mm.HRSCDDataset'
data_root = 'data/hrscd'

train_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs'),
]
test_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        window=(512, 512),
        fold=dict(every=5, start=[0, 1], keep='rest'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        window=(500, 500),
        window_edge='drop',
        fold=dict(every=5, start=0, keep='held_out'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        window=(500, 500),
        window_edge='drop',
        fold=dict(every=5, start=1, keep='held_out'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)

val_evaluator = dict(type='tfinet_mm.SCDMetric')
test_evaluator = val_evaluator
