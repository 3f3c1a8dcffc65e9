# The change map is corrected at stride 2, where the network without it has stride 4.
_base_ = './base.py'
model = dict(
    backbone=dict(fine_level=True),
    neck=dict(fine_channels=16),
    change_head=dict(
        type='tfinet_mm.RefinedUPerHead', fine_channels=16, in_index=[1, 2, 3, 4], fine_index=0
    ),
)
