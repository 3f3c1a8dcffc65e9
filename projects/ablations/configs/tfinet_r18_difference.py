# The published decoders on the plain absolute difference: no interaction at all.
_base_ = '../../../configs/tfinet_r18.py'
model = dict(
    neck=dict(_delete_=True, type='tfinet_mm.AbsoluteDifference'),
    change_head=dict(in_channels=512),
    auxiliary_head=None,
)
