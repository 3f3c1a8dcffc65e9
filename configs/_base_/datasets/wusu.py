# WUSU as released (openWUSU512): data/wusu/{train,test}/{HS,JA}/{imgs,class}, two districts of Wuhan
# in 2015, 2016 and 2018. Every two of the dates are a pair; changed is where the land cover differs.
# Folds hold out tiles with all their dates: one training tile in five is for validation.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SCDDataset',
    dates=[('15', '16'), ('16', '18'), ('15', '18')],
    # A tile, such as HS_0, is the name without the folder and the year.
    data_prefix=dict(img_path_from='', img_path_to='', seg_map_path_from='', seg_map_path_to=''),
    key_pattern=dict(
        img_path_from='/imgs/[A-Z]+{before}(?=_)',
        img_path_to='/imgs/[A-Z]+{after}(?=_)',
        seg_map_path_from='/class/[A-Z]+{before}(?=_)',
        seg_map_path_to='/class/[A-Z]+{after}(?=_)',
    ),
    img_suffix='.tif',
    seg_map_suffix='.tif',
    label_semantics='land_cover',
    label_storage='index',
    change_storage='difference',
    zero_is='unknown',
    # The release has no class 5.
    label_map={
        6: 'woodland',
        7: 'grassland',
        8: 'river',
        9: 'lake',
        10: 'structure',
        11: 'excavation',
        12: 'bare surface',
    },
    semantic_classes=[
        'unlabelled',
        'road',
        'low building',
        'high building',
        'arable land',
        'woodland',
        'grassland',
        'river',
        'lake',
        'structure',
        'excavation',
        'bare surface',
    ],
    semantic_palette=[
        [255, 255, 255],
        [233, 133, 133],
        [255, 110, 110],
        [200, 0, 0],
        [255, 211, 127],
        [38, 115, 0],
        [163, 255, 115],
        [0, 92, 230],
        [115, 178, 255],
        [140, 140, 140],
        [168, 0, 132],
        [165, 115, 60],
    ],
)
# The bands are blue, green, red and near infrared.
load = dict(type='tfinet_mm.LoadImagePair', bands=[3, 2, 1])
train_pipeline = [
    load,
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
test_pipeline = [
    load,
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
train_root = 'data/wusu/train'

train_dataloader = dict(
    dataset=dict(
        **common,
        data_root=train_root,
        fold=dict(every=5, start=0, keep='rest'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        **common,
        data_root=train_root,
        fold=dict(every=5, start=0, keep='held_out'),
        pipeline=test_pipeline,
    )
)
test_dataloader = dict(dataset=dict(**common, data_root='data/wusu/test', pipeline=test_pipeline))
