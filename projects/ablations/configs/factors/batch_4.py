# Half the batch, twice the steps.
_base_ = './base.py'
train_dataloader = dict(batch_size=4)
