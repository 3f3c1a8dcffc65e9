_base_ = '../../../configs/tfinet_r18_fpn.py'
model = dict(auxiliary_head=None)
