# In place of half the labelled pairs, pairs of two places: of each pair only the image before, with its
# land cover.
_base_ = './base.py'
labelled = _base_.train_dataloader.dataset
labelled.indices = 160
made = dict(
    type='tfinet_mm.SingleDateDataset',
    data_root=_base_.data_root + '/train',
    data_prefix=dict(img_path='im1', seg_map_path='cover1'),
    indices=-160,
    semantic_classes=[
        'unchanged',
        'water',
        'ground',
        'low vegetation',
        'tree',
        'building',
        'sports field',
    ],
    semantic_palette=[
        (255, 255, 255),
        (0, 0, 255),
        (128, 128, 128),
        (0, 128, 0),
        (0, 255, 0),
        (128, 0, 0),
        (255, 0, 0),
    ],
    pipeline=[
        dict(type='tfinet_mm.LoadMadePair', method='places'),
        dict(type='tfinet_mm.RandomFlipOrRotate'),
        dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
    ],
)
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[labelled, made])
)
