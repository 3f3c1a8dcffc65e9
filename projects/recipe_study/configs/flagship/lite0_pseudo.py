# The recipe sets data_root of LoadPseudoLabels.
_base_ = 'setting.py'
train_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.LoadPseudoLabels', data_root='data/study/pseudo_labels'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
