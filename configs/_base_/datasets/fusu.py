# FUSU as released: data/fusu/{im1,im2,im1_label,im2_label}, land use of every pixel at both dates.
# Changed is where the land use differs. The colours are those of the release, but for the blue of
# inland water, of which one value isn't a colour there. Three fifths of the pairs are for training.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SCDDataset',
    data_root='data/fusu',
    data_prefix=dict(
        img_path_from='im1',
        img_path_to='im2',
        seg_map_path_from='im1_label',
        seg_map_path_to='im2_label',
    ),
    label_semantics='land_cover',
    label_storage='index',
    change_storage='difference',
    zero_is='unknown',
    semantic_classes=[
        'background',
        'traffic land',
        'inland water',
        'residential land',
        'cropland',
        'agriculture construction',
        'blank',
        'industrial land',
        'orchard',
        'park',
        'public management and service',
        'commercial land',
        'public construction',
        'special',
        'forest',
        'storage',
        'wetland',
        'grass',
    ],
    semantic_palette=[
        [255, 255, 255],
        [233, 133, 133],
        [8, 51, 230],
        [255, 0, 30],
        [126, 211, 33],
        [135, 126, 20],
        [94, 47, 4],
        [10, 82, 77],
        [184, 233, 134],
        [219, 170, 230],
        [255, 199, 2],
        [252, 232, 5],
        [245, 107, 0],
        [243, 229, 176],
        [3, 100, 0],
        [127, 123, 127],
        [52, 205, 249],
        [18, 227, 180],
    ],
)

train_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=[0, 1], keep='rest')))
val_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=0, keep='held_out')))
test_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=1, keep='held_out')))
