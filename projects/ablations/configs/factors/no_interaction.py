_base_ = './base.py'
model = dict(neck=dict(interaction=False))
