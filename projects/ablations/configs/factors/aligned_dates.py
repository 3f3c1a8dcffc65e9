# The second date gets the mean and standard deviation of the first, in training and in the test.
_base_ = './base.py'
train_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.MatchRadiometry'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
test_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.MatchRadiometry'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
held_out = dict(dataset=dict(pipeline=test_pipeline))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = held_out
test_dataloader = held_out
