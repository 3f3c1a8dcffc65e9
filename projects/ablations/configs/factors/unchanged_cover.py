# The land cover of unchanged pixels is labelled as well, which SECOND doesn't have.
_base_ = './base.py'
train_dataloader = dict(dataset=dict(full_cover=True))
