_base_ = 'senseearth.py'
model = dict(semantic_head=dict(loss_decode=dict(class_weight=None)))
