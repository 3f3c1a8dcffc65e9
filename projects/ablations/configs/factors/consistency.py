# The land cover of both dates has to agree where nothing changed, and to differ where it did.
_base_ = './base.py'
model = dict(
    auxiliary_head=[
        dict(
            type='tfinet_mm.DifferenceHead',
            branch='difference',
            loss_decode=dict(type='tfinet_mm.ChangeBCELoss', positive_weight=1.0, loss_weight=2.0),
        ),
        dict(
            type='tfinet_mm.ConsistencyHead',
            branch='land_cover',
            loss_decode=dict(type='tfinet_mm.SemanticConsistencyLoss', loss_weight=1.0),
        ),
    ]
)
