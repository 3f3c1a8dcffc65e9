# DynamicEarthNet as released: data/dynamic_earthnet/planet/ZONE/.../CUBE/PF-SR and
# labels/CUBE_ZONE/Labels/Raster. The image of the first day of a month belongs to its label. The 23
# pairs of neighbouring months of 2018 and 2019 are pairs of dates; for January and December alone,
# dates=[('2018-01', '2019-12')]. Changed is where the land cover differs. Folds hold out whole
# cubes; for published splits, list cubes such as 1311_3077_13 in a file: ann_file='train.txt' and
# fold=None. Cubes without labels have to be left out by such a list.
_base_ = './pairs.py'

months = [f'{year}.{month:02}' for year in (2018, 2019) for month in range(1, 13)]
common = dict(
    type='tfinet_mm.SCDDataset',
    data_root='data/dynamic_earthnet',
    # A point stands for the dash or underscore of a name.
    dates=list(zip(months[:-1], months[1:])),
    data_prefix=dict(
        img_path_from='planet',
        img_path_to='planet',
        seg_map_path_from='labels',
        seg_map_path_to='labels',
    ),
    key_pattern=dict(
        img_path_from='^.*/(?=[^/]+/PF-SR/{before}-01$)|/PF-SR/{before}-01$',
        img_path_to='^.*/(?=[^/]+/PF-SR/{after}-01$)|/PF-SR/{after}-01$',
        seg_map_path_from='_[^_/]+/Labels/Raster/.*{before}.01$',
        seg_map_path_to='_[^_/]+/Labels/Raster/.*{after}.01$',
    ),
    img_suffix='.tif',
    seg_map_suffix='.tif',
    label_semantics='land_cover',
    label_storage='one_hot',
    change_storage='difference',
    semantic_classes=[
        'unlabelled',
        'impervious surface',
        'agriculture',
        'forest & other vegetation',
        'wetlands',
        'soil',
        'water',
        'snow & ice',
    ],
    semantic_palette=[
        [255, 255, 255],
        [96, 96, 96],
        [204, 204, 0],
        [0, 204, 0],
        [0, 0, 153],
        [153, 76, 0],
        [0, 128, 255],
        [138, 178, 198],
    ],
)
# The bands are blue, green, red and near infrared; reflectance times 10,000.
values = dict(bands=[3, 2, 1], value_range=(0, 3000))
train_pipeline = [
    dict(type='tfinet_mm.LoadCroppedPair', crop_size=512, min_change=0.01, **values),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
test_pipeline = [
    dict(type='tfinet_mm.LoadImagePair', **values),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
held_out = dict(**common, pipeline=test_pipeline)

train_dataloader = dict(
    dataset=dict(**common, fold=dict(every=5, start=[0, 1], keep='rest'), pipeline=train_pipeline)
)
val_dataloader = dict(
    batch_size=1, dataset=dict(**held_out, fold=dict(every=5, start=0, keep='held_out'))
)
test_dataloader = dict(
    batch_size=1, dataset=dict(**held_out, fold=dict(every=5, start=1, keep='held_out'))
)
