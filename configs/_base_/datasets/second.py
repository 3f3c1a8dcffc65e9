# SECOND as downloaded: data/second/{train,test}/{im1,im2,label1,label2}.
# Trained on 2671 of the 2968 training pairs. Every tenth (297) is for validation during training,
# which chooses the checkpoint. The 1694 pairs of the test folder are for the score that is reported.
_base_ = './pairs.py'

dataset_type = 'tfinet_mm.SECONDDataset'
train_root = 'data/second/train'
test_root = 'data/second/test'

train_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=train_root, fold=dict(every=10, start=0, keep='rest'))
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type, data_root=train_root, fold=dict(every=10, start=0, keep='held_out')
    )
)
test_dataloader = dict(dataset=dict(type=dataset_type, data_root=test_root))
