# Hi-UCD has nine times as many pairs as SECOND.
_base_ = [
    '_base_/models/tfinet_lite0_fpn.py',
    '_base_/datasets/hi_ucd.py',
    '_base_/schedules/schedule_50e.py',
    '_base_/default_runtime.py',
]
model = dict(semantic_head=dict(num_classes=9, loss_decode=dict(class_weight=None)))
param_scheduler = dict(end=12)
train_cfg = dict(max_epochs=10)
