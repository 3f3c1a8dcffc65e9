# An epoch of HRSCD is some 70,000 windows, as many pairs as 26 epochs of SECOND.
_base_ = [
    '_base_/models/tfinet_lite2_fpn.py',
    '_base_/datasets/hrscd.py',
    '_base_/schedules/schedule_50e.py',
    '_base_/default_runtime.py',
]
model = dict(semantic_head=dict(num_classes=5, loss_decode=dict(class_weight=None)))
param_scheduler = dict(end=7)
train_cfg = dict(max_epochs=5)
