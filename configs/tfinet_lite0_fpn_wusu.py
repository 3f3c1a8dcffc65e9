_base_ = [
    '_base_/models/tfinet_lite0_fpn.py',
    '_base_/datasets/wusu.py',
    '_base_/schedules/schedule_50e.py',
    '_base_/default_runtime.py',
]
model = dict(semantic_head=dict(num_classes=11, loss_decode=dict(class_weight=None)))
