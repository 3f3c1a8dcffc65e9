# The loss of the land cover counts twice, as that of the change does.
_base_ = './base.py'
model = dict(semantic_head=dict(loss_decode=dict(loss_weight=2.0)))
