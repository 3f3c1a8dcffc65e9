# Change alone, from masks: without land cover, everything that changed is one class.
_base_ = [
    '_base_/models/tfinet_lite0_fpn.py',
    '_base_/datasets/change_masks.py',
    '_base_/schedules/schedule_50e.py',
    '_base_/default_runtime.py',
]
model = dict(semantic_head=dict(num_classes=1, threshold=0.5, loss_decode=dict(class_weight=None)))
default_hooks = dict(checkpoint=dict(save_best='change/IoU'))
