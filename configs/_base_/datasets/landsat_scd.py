# Landsat-SCD as released: data/landsat_scd/{A,B,label}, label with ten classes of transitions.
# Of the pairs that are no augmented copies three fifths train, one validates, one tests.
# For labels of each date: labels='per_date' and data_prefix with their two folders.
dataset_type = 'tfinet_mm.LandsatSCDDataset'
data_root = 'data/landsat_scd'

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
        fold=dict(every=5, start=1, keep='held_out'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)

val_evaluator = dict(type='tfinet_mm.SCDMetric')
test_evaluator = val_evaluator
