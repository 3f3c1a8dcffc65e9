_base_ = [
    '_base_/models/tfinet_lite2_fpn.py',
    '_base_/datasets/landsat_scd.py',
    '_base_/schedules/schedule_50e.py',
    '_base_/default_runtime.py',
]
model = dict(semantic_head=dict(num_classes=4, loss_decode=dict(class_weight=None)))
