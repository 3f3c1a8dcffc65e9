# Focal loss on the change.
_base_ = './base.py'
model = dict(
    change_head=dict(
        loss_decode=dict(_delete_=True, type='mmseg.FocalLoss', use_sigmoid=True, loss_weight=4.0)
    )
)
