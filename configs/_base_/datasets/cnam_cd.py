# CNAM-CD as released: data/cnam_cd/{A,B,label}. One label has the class of changed pixels after the
# change; their class before isn't labelled, and is ignored in training and in scores. Three fifths
# of the pairs are for training, one for validation and one for testing.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SCDDataset',
    data_root='data/cnam_cd',
    data_prefix=dict(img_path_from='A', img_path_to='B', seg_map_path='label'),
    img_suffix='.tif',
    seg_map_suffix='.tif',
    transitions={
        0: None,
        1: (None, 'impervious surface'),
        2: (None, 'bare ground'),
        3: (None, 'vegetation'),
        4: (None, 'water bodies'),
        5: (None, 'other'),
    },
    semantic_classes=[
        'background',
        'impervious surface',
        'bare ground',
        'vegetation',
        'water bodies',
        'other',
    ],
    semantic_palette=[
        [255, 255, 255],
        [128, 128, 128],
        [165, 115, 60],
        [0, 128, 0],
        [0, 0, 255],
        [255, 200, 0],
    ],
)

train_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=[0, 1], keep='rest')))
val_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=0, keep='held_out')))
test_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=1, keep='held_out')))
