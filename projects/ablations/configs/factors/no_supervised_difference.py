_base_ = './base.py'
model = dict(auxiliary_head=None)
