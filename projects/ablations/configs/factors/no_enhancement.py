_base_ = './base.py'
model = dict(neck=dict(enhancement=False))
