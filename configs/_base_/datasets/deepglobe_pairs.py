# Made-up pairs of DeepGlobe's land cover of one date: data/deepglobe/train/{ID_sat.jpg,ID_mask.png}.
# Only the 803 images of its folder train have labels: write the IDs (as 119_sat.jpg) of those to train
# and to validate on to data/deepglobe/{train,val}.txt. Its masks have smoothed colours.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SingleDateDataset',
    data_root='data/deepglobe',
    data_prefix=dict(img_path='train', seg_map_path='train'),
    img_suffix='_sat.jpg',
    seg_map_suffix='_mask.png',
    label_storage='rgb',
    colour_tolerance=127,
    semantic_classes=[
        'unknown',
        'urban',
        'agriculture',
        'rangeland',
        'forest',
        'water',
        'barren',
    ],
    semantic_palette=[
        [0, 0, 0],
        [0, 255, 255],
        [255, 255, 0],
        [255, 0, 255],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 255],
    ],
)
train_pipeline = [
    dict(type='tfinet_mm.LoadMadePair', crop_size=512),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs'),
]
test_pipeline = [
    dict(type='tfinet_mm.LoadMadePair', method='places', crop_size=512),
    dict(type='tfinet_mm.PackPairInputs'),
]

train_dataloader = dict(
    dataset=dict(**common, ann_file='train.txt', redraw=True, pipeline=train_pipeline)
)
val_dataloader = dict(
    batch_size=1, dataset=dict(**common, ann_file='val.txt', pipeline=test_pipeline)
)
test_dataloader = val_dataloader
