_base_ = 'pspnet_hrnet18_lightweight_pseudo.py'
model = dict(backbone=dict(width=40, init_cfg=dict(checkpoint='open-mmlab://msra/hrnetv2_w40')))
