# Hi-UCD mini as released: data/hi_ucd_mini/{train,val}/image/{2017,2018}/9 and
# mask_merge/2017_2018/9; the test folder has 2018 and 2019. Classes and bands are those of Hi-UCD.
_base_ = './hi_ucd.py'

train_pipeline = [
    dict(type='tfinet_mm.LoadCroppedPair', crop_size=512, min_change=0.01),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs', label_type='uint8'),
]
years = dict(
    img_path_from='image/2017',
    img_path_to='image/2018',
    seg_map_path='mask_merge/2017_2018',
)
test_years = dict(
    img_path_from='image/2018',
    img_path_to='image/2019',
    seg_map_path='mask_merge/2018_2019',
)

train_dataloader = dict(
    dataset=dict(data_root='data/hi_ucd_mini/train', data_prefix=years, pipeline=train_pipeline)
)
val_dataloader = dict(
    batch_size=1, dataset=dict(data_root='data/hi_ucd_mini/val', data_prefix=years)
)
test_dataloader = dict(
    batch_size=1, dataset=dict(data_root='data/hi_ucd_mini/test', data_prefix=test_years)
)
