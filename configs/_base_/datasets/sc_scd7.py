# SC-SCD7 as released: data/sc_scd7/{train,test}/{prev_img,curr_img,prev_seg,curr_seg,bcd}. Labels
# are counted from 0, which is bare land. Every tenth training pair is for validation. CC-SCD5 has
# the same folders: state its five classes (others, water, building, vegetation, road).
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SCDDataset',
    data_prefix=dict(
        img_path_from='prev_img',
        img_path_to='curr_img',
        seg_map_path_from='prev_seg',
        seg_map_path_to='curr_seg',
        seg_map_path='bcd',
    ),
    label_semantics='land_cover',
    label_storage='index',
    zero_is='class',
    semantic_classes=[
        'bareland',
        'water',
        'building',
        'structure',
        'farmland',
        'vegetation',
        'road',
    ],
    semantic_palette=[
        [128, 128, 128],
        [0, 0, 255],
        [0, 255, 0],
        [255, 0, 0],
        [0, 255, 255],
        [0, 128, 0],
        [128, 64, 0],
    ],
)
train_root = 'data/sc_scd7/train'

train_dataloader = dict(
    dataset=dict(**common, data_root=train_root, fold=dict(every=10, start=0, keep='rest'))
)
val_dataloader = dict(
    dataset=dict(**common, data_root=train_root, fold=dict(every=10, start=0, keep='held_out'))
)
test_dataloader = dict(dataset=dict(**common, data_root='data/sc_scd7/test'))
