# TFINet on HRNet-W18: one level of 270 channels at 1/4, so two x2 steps, and a change decoder
# about half as wide as on ResNet's 512 channels. Losses are those of tfinet_r18.py.
_base_ = './tfinet_r18.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='tfinet_mm.FusedHRNet',
        width=18,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w18'),
    ),
    neck=dict(in_channels=None),
    semantic_head=dict(in_channels=270, stride=4),
    change_head=dict(in_channels=540, blocks=((256, 128), (64, 32)), stride=4),
)
