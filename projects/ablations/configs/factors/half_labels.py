# Half the labelled pairs, without the others.
_base_ = './base.py'
train_dataloader = dict(dataset=dict(indices=160))
