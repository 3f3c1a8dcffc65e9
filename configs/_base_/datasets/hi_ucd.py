# Hi-UCD as released: data/hi_ucd/{train,val}/image/{2018,2019} and mask/2018_2019, whose bands are
# land cover before, land cover after, and change. Its test folder has no labels: the validation
# pairs are the test as well, so a checkpoint chosen by their scores has seen its test.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SCDDataset',
    data_prefix=dict(
        img_path_from='image/2018',
        img_path_to='image/2019',
        seg_map_path='mask/2018_2019',
    ),
    label_bands=dict(seg_map_path_from=1, seg_map_path_to=2, seg_map_path=3),
    label_semantics='land_cover',
    label_storage='index',
    zero_is='unknown',
    change_map={0: 'ignored', 1: 'unchanged', 2: 'changed'},
    semantic_classes=[
        'unlabeled',
        'water',
        'grass',
        'building',
        'green house',
        'road',
        'bridge',
        'others',
        'bare land',
        'woodland',
    ],
    semantic_palette=[
        [255, 255, 255],
        [0, 153, 255],
        [202, 255, 122],
        [230, 0, 0],
        [230, 0, 255],
        [255, 230, 0],
        [255, 181, 197],
        [175, 122, 255],
        [26, 255, 0],
        [0, 128, 0],
    ],
)

train_dataloader = dict(dataset=dict(**common, data_root='data/hi_ucd/train'))
val_dataloader = dict(dataset=dict(**common, data_root='data/hi_ucd/val'))
test_dataloader = val_dataloader
