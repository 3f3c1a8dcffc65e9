# Pairs with change masks and no land cover, in the layout of WHU-CD, LEVIR-CD and others:
# data/change_masks/{A,B,label}, and the names of each split in data/change_masks/list/{train,val,test}.txt.
# Training cuts large images to windows of 256 x 256.
_base_ = './pairs.py'

pairs = dict(
    type='tfinet_mm.SCDDataset',
    data_root='data/change_masks',
    data_prefix=dict(
        img_path_from='A',
        img_path_to='B',
        seg_map_path_from=None,
        seg_map_path_to=None,
        seg_map_path='label',
    ),
)

train_dataloader = dict(dataset=dict(**pairs, ann_file='list/train.txt', window=(256, 256)))
val_dataloader = dict(dataset=dict(**pairs, ann_file='list/val.txt'))
test_dataloader = dict(dataset=dict(**pairs, ann_file='list/test.txt'))
