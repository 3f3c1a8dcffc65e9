# tfinet_lite0_fpn.py with its change map corrected on the backbone's level of half the image's size.
_base_ = './tfinet_lite0_fpn.py'
model = dict(
    backbone=dict(fine_level=True),
    neck=dict(fine_channels=16),
    change_head=dict(type='tfinet_mm.RefinedUPerHead', fine_channels=16, in_index=[1, 2, 3, 4]),
)
