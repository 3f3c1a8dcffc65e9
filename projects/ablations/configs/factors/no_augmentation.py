# Neither flips nor rotations.
_base_ = './base.py'
train_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
