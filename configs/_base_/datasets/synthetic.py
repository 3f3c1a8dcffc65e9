# The synthetic data set: data/synthetic/{train,val}, made by tools/dataset/make_synthetic.py.
_base_ = './pairs.py'

dataset_type = 'tfinet_mm.SyntheticSCDDataset'
data_root = 'data/synthetic'
held_out = dict(num_workers=2, dataset=dict(type=dataset_type, data_root=data_root + '/val'))

train_dataloader = dict(
    num_workers=2, dataset=dict(type=dataset_type, data_root=data_root + '/train')
)
val_dataloader = held_out
test_dataloader = held_out
