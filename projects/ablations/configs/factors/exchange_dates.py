# The dates of half of the pairs are exchanged.
_base_ = './base.py'
train_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.ExchangeDates'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
