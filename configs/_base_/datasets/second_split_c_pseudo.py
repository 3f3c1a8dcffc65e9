# Split C, trained on pseudo labels where the annotation has no class: tools/pseudo_label.py
# writes them to data/second/pseudo. Validation and test use the annotation alone.
_base_ = './second_split_c.py'

pseudo_root = 'data/second/pseudo'
train_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.LoadPseudoLabels', data_root=pseudo_root),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
