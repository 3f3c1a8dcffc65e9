_base_ = 'deeplabv3plus_r18_lightweight.py'
train_pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.LoadPseudoLabels', data_root='data/synthetic/pseudo'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(semantic_head=dict(loss_decode=dict(class_weight=None)))
