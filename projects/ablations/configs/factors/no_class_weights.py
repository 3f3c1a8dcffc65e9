# Every class counts the same, and so do changed and unchanged pixels.
_base_ = './base.py'
model = dict(
    semantic_head=dict(loss_decode=dict(class_weight=None)),
    change_head=dict(loss_decode=dict(positive_weight=1.0)),
)
