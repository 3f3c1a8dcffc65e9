# Made-up pairs of LoveDA, which has land cover of one date: data/loveDA/{img_dir,ann_dir}/{train,val}
# as MMSegmentation's converter writes it. Nothing changed between the images of a pair, which show
# different ground, so scores on them say nothing about real change. For another data set of one
# date, state its folders, suffixes and classes.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SingleDateDataset',
    data_root='data/loveDA',
    label_storage='index',
    semantic_classes=[
        'no data',
        'background',
        'building',
        'road',
        'water',
        'barren',
        'forest',
        'agricultural',
    ],
    semantic_palette=[
        [0, 0, 0],
        [255, 255, 255],
        [255, 0, 0],
        [255, 255, 0],
        [0, 0, 255],
        [159, 129, 183],
        [0, 255, 0],
        [255, 195, 128],
    ],
)
train_pipeline = [
    dict(type='tfinet_mm.LoadCroppedPair', crop_size=512),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]

train_dataloader = dict(
    dataset=dict(
        **common,
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(**common, data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')),
)
test_dataloader = val_dataloader
