# Made-up pairs of FLAIR's aerial images (IGN), which have land cover of one date: red, green and blue
# of data/FLAIR/flair_aerial_train/D004_2021/Z1_NN/img/IMG_000001.tif, labels in
# data/FLAIR/flair_labels_train/D004_2021/Z1_NN/msk/MSK_000001.tif. Write the images to train and to
# validate on (D004_2021/Z1_NN/img/IMG_000001.tif) to data/FLAIR/{train,val}.txt, whole domains each.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SingleDateDataset',
    data_root='data/FLAIR',
    data_prefix=dict(img_path='flair_aerial_train', seg_map_path='flair_labels_train'),
    img_suffix='.tif',
    seg_map_suffix='.tif',
    key_pattern=dict(img_path_from='img/IMG_', seg_map_path_from='msk/MSK_'),
    label_storage='index',
    semantic_classes=[
        'unlabelled',
        'building',
        'pervious surface',
        'impervious surface',
        'bare soil',
        'water',
        'coniferous',
        'deciduous',
        'brushwood',
        'vineyard',
        'herbaceous vegetation',
        'agricultural land',
        'plowed land',
        'swimming pool',
        'snow',
        'clear cut',
        'mixed',
        'ligneous',
        'greenhouse',
        'other',
    ],
    semantic_palette=[
        [255, 255, 254],
        [219, 14, 154],
        [147, 142, 123],
        [248, 12, 0],
        [169, 113, 1],
        [21, 83, 174],
        [25, 74, 38],
        [70, 228, 131],
        [243, 166, 13],
        [102, 0, 130],
        [85, 255, 0],
        [255, 243, 13],
        [228, 223, 124],
        [61, 230, 235],
        [255, 255, 255],
        [138, 179, 160],
        [107, 113, 79],
        [197, 220, 66],
        [153, 153, 255],
        [0, 0, 0],
    ],
)
train_pipeline = [
    dict(type='tfinet_mm.LoadMadePair', crop_size=512, bands=[1, 2, 3]),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs'),
]
test_pipeline = [
    dict(type='tfinet_mm.LoadMadePair', method='places', bands=[1, 2, 3]),
    dict(type='tfinet_mm.PackPairInputs'),
]

train_dataloader = dict(
    dataset=dict(**common, ann_file='train.txt', redraw=True, pipeline=train_pipeline)
)
val_dataloader = dict(
    batch_size=1, dataset=dict(**common, ann_file='val.txt', pipeline=test_pipeline)
)
test_dataloader = val_dataloader
