# Brightness, contrast and colours of each date change.
_base_ = './base.py'
train_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PairPhotoMetricDistortion'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
