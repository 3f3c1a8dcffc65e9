# Fine-tunes the weights of the package on polygons corrected in QGIS (tools/dataset/make_labels.py):
# some tens of steps on the windows of one scene. See docs/corrections.md.
_base_ = [
    '_base_/models/tfinet_lite0_fpn.py',
    '_base_/datasets/pairs.py',
    '_base_/schedules/schedule_50e.py',
    '_base_/default_runtime.py',
]
epochs = 15
data_root = 'data/corrections'
load_from = 'tfinet_lite0_fpn_generated'
model = dict(
    autocast='auto',
    # Labels are few, and mostly of mistakes: no class of them counts more than another.
    change_head=dict(loss_decode=dict(positive_weight=1.0)),
)
# SECOND's classes, which the weights of the package have.
corrected = dict(
    type='tfinet_mm.SECONDDataset',
    data_root=data_root,
    data_prefix=dict(seg_map_path='change'),
    # A data set of deleted polygons alone has masks of 0 and 255.
    label_storage='palette',
    change_storage='0/1',
)

train_dataloader = dict(batch_size=4, num_workers=2, drop_last=True, dataset=dict(**corrected))
# The corrections are all used for training, so scores of these windows show no progress.
val_dataloader = dict(dataset=corrected)
test_dataloader = dict(dataset=corrected)

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.02),
    # The backbone has the least to learn.
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))),
)
param_scheduler = dict(end=epochs + 2)
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=4), checkpoint=dict(interval=epochs), visualization=dict(number=0)
)
