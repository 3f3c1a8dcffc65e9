# SECOND as downloaded: data/second/{train,test}/{im1,im2,label1,label2}.
# Trained on 2671 of the 2968 training pairs; every tenth (297) validates during training and
# chooses the checkpoint; the 1694 pairs of the test folder are for the score that is reported.
dataset_type = 'tfinet_mm.SECONDDataset'
data_root = 'data/second'

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
        data_root=data_root + '/train',
        fold=dict(every=10, start=0, keep='rest'),
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
        data_root=data_root + '/train',
        fold=dict(every=10, start=0, keep='held_out'),
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
        data_root=data_root + '/test',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)

val_evaluator = dict(type='tfinet_mm.SCDMetric')
test_evaluator = val_evaluator
