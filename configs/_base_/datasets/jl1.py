# The labelled pairs of the JL1 (Jilin-1) competition of 2023: data/jl1/train/{pre,post,label}. One
# label has eight changes from or to cropland. Its test folder has no labels. Three fifths of the
# pairs are for training, one for validation and one for testing.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SCDDataset',
    data_root='data/jl1/train',
    data_prefix=dict(img_path_from='pre', img_path_to='post', seg_map_path='label'),
    img_suffix='.tif',
    transitions={
        0: None,
        1: ('cropland', 'road'),
        2: ('cropland', 'forest and grass'),
        3: ('cropland', 'building'),
        4: ('cropland', 'other'),
        5: ('road', 'cropland'),
        6: ('forest and grass', 'cropland'),
        7: ('building', 'cropland'),
        8: ('other', 'cropland'),
    },
    semantic_classes=['no change', 'cropland', 'road', 'forest and grass', 'building', 'other'],
    semantic_palette=[
        [255, 255, 255],
        [255, 255, 0],
        [128, 128, 128],
        [0, 180, 0],
        [255, 0, 0],
        [0, 0, 255],
    ],
)

train_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=[0, 1], keep='rest')))
val_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=0, keep='held_out')))
test_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=1, keep='held_out')))
