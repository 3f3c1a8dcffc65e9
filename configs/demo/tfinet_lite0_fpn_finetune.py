# Trained by `make demo`: the weights of the package, on 48 pairs of a kind they never saw, in a minute
# on two cores.
_base_ = [
    '../_base_/models/tfinet_lite0_fpn.py',
    '../_base_/datasets/synthetic.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/default_runtime.py',
]
epochs = 12
data_root = 'data/demo/pairs'
load_from = 'tfinet_lite0_fpn_generated'
# A step of 8 pairs takes 0.9 s of one core in float32, 0.7 s in bfloat16 where the processor has units for it.
model = dict(autocast='auto')

train_dataloader = dict(dataset=dict(data_root=data_root + '/train'))
held_out = dict(dataset=dict(data_root=data_root + '/val'))
val_dataloader = held_out
test_dataloader = held_out

optim_wrapper = dict(
    # High, because there are only 72 steps.
    optimizer=dict(_delete_=True, type='AdamW', lr=4e-3, weight_decay=0.02),
    # The backbone has the least to learn.
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))),
)
param_scheduler = dict(end=epochs + 2)
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=6), checkpoint=dict(interval=4), visualization=dict(number=5)
)
