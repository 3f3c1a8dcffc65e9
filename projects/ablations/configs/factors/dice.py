# Dice loss beside the cross entropy of the change.
_base_ = './base.py'
model = dict(
    change_head=dict(
        loss_decode=[
            dict(type='tfinet_mm.ChangeBCELoss', positive_weight=2.0, loss_weight=2.0),
            dict(type='mmseg.DiceLoss', use_sigmoid=True, loss_weight=1.0),
        ]
    )
)
