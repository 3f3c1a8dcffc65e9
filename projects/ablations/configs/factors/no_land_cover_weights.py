# Every class of land cover counts the same; changed pixels still count twice.
_base_ = './base.py'
model = dict(semantic_head=dict(loss_decode=dict(class_weight=None)))
