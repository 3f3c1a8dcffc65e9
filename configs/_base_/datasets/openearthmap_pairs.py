# Made-up pairs of OpenEarthMap's land cover of one date, whose images have several sizes:
# data/OpenEarthMap_wo_xBD/REGION/{images,labels}/REGION_1.tif. The lists of the release hold names
# alone; paths are made of them by
# sed -E 's|^(.*)_[0-9]+\.tif|\1/images/&|' train.txt > paths.txt && mv paths.txt train.txt
# Training and validation cut parts of 512 x 512.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SingleDateDataset',
    data_root='data/OpenEarthMap_wo_xBD',
    data_prefix=dict(img_path='', seg_map_path=''),
    img_suffix='.tif',
    seg_map_suffix='.tif',
    key_pattern=dict(img_path_from='images/', seg_map_path_from='labels/'),
    label_storage='index',
    semantic_classes=[
        'unlabelled',
        'bareland',
        'rangeland',
        'developed space',
        'road',
        'tree',
        'water',
        'agriculture land',
        'building',
    ],
    semantic_palette=[
        [0, 0, 0],
        [128, 0, 0],
        [0, 255, 36],
        [148, 148, 148],
        [255, 255, 255],
        [34, 97, 38],
        [0, 69, 255],
        [75, 181, 73],
        [222, 31, 7],
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
