# Shared by the recipe of the default network: what the study of factors begins with, 180 steps of
# 8 pairs from ImageNet's weights. Only the last step is validated, so the checkpoint that is tested
# was not chosen by its score.
_base_ = '../../../ablations/configs/factors/base.py'
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=20, end=180, by_epoch=False),
]
train_cfg = dict(max_iters=180, val_interval=180)
default_hooks = dict(checkpoint=dict(interval=180, save_best='Score'))
