_base_ = '../tfinet_r18_fpn.py'
model = dict(neck=dict(enhancement=False))
