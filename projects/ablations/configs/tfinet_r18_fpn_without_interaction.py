_base_ = '../../../configs/tfinet_r18_fpn.py'
model = dict(neck=dict(interaction=False))
