# xBD as released for the xView2 challenge: data/xbd/{train,hold,test}/{images,targets}. Labels have
# 0 for background, 1 for buildings before, 1 to 4 for their damage after. Changed is where the two
# differ, so a building that is still whole is unchanged. Validated on hold.
_base_ = './pairs.py'

common = dict(
    type='tfinet_mm.SCDDataset',
    data_prefix=dict(
        img_path_from='images',
        img_path_to='images',
        seg_map_path_from='targets',
        seg_map_path_to='targets',
    ),
    key_pattern=dict(
        img_path_from='_pre_disaster$',
        img_path_to='_post_disaster$',
        seg_map_path_from='_pre_disaster_target$',
        seg_map_path_to='_post_disaster_target$',
    ),
    label_semantics='land_cover',
    label_storage='index',
    change_storage='difference',
    zero_is='class',
    semantic_classes=['background', 'building', 'minor damage', 'major damage', 'destroyed'],
    semantic_palette=[[0, 0, 0], [255, 255, 255], [255, 255, 0], [255, 128, 0], [255, 0, 0]],
)
train_pipeline = [
    dict(type='tfinet_mm.LoadCroppedPair', crop_size=512, min_change=0.01),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]

train_dataloader = dict(dataset=dict(**common, data_root='data/xbd/train', pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, dataset=dict(**common, data_root='data/xbd/hold'))
test_dataloader = dict(batch_size=1, dataset=dict(**common, data_root='data/xbd/test'))
