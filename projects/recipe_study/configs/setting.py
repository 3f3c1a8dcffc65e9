# What the trainings of the recipe's study share: 320 pairs of 128 x 128, 12 epochs from scratch.
# Only the last epoch is validated, so the checkpoint that is tested was not chosen by its score.
_base_ = ['../../../configs/_base_/datasets/synthetic.py', '../../../configs/_base_/default_runtime.py']

data_root = 'data/study'
held_out = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root + '/val'),
)
train_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root + '/train')
)
val_dataloader = held_out
test_dataloader = held_out

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(
        type='PolyLR',
        power=0.9,
        eta_min=0.0,
        begin=0,
        end=12,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=12)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(logger=dict(interval=20), visualization=dict(interval=0))
