# BANDON as released: data/bandon/{train,val,test}, and data/bandon/lists with the lists of pairs from
# the repository of its makers. A line has a path for each role; lists for training have more.
# Labels have roofs and facades at both dates and changed buildings. The test pairs have no labels
# of roofs and facades: change alone is scored.
_base_ = './pairs.py'

roles = ['img_path_from', 'img_path_to', 'seg_map_path']
common = dict(
    type='tfinet_mm.SCDDataset',
    label_semantics='land_cover',
    label_storage='index',
    change_storage='0/1',
    zero_is='class',
    semantic_classes=['background', 'roof', 'facade'],
    semantic_palette=[[0, 0, 0], [255, 255, 255], [255, 128, 0]],
)
train_pipeline = [
    dict(type='tfinet_mm.LoadCroppedPair', crop_size=512, min_change=0.01),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]

train_dataloader = dict(
    dataset=dict(
        **common,
        data_root='data/bandon/train',
        ann_file='../lists/list_BANDON_train.txt',
        ann_columns=[*roles, 'seg_map_path_from', 'seg_map_path_to'],
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        **common,
        data_root='data/bandon/val',
        ann_file='../lists/list_BANDON_val.txt',
        ann_columns=[*roles, 'seg_map_path_from', 'seg_map_path_to'],
    ),
)
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        **common,
        data_root='data/bandon/test',
        ann_file='../lists/list_BANDON_test.txt',
        ann_columns=roles,
    ),
)
