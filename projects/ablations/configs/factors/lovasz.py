# Lovász softmax loss beside the cross entropy of the land cover.
_base_ = './base.py'
model = dict(
    semantic_head=dict(
        loss_decode=[
            dict(type='tfinet_mm.SemanticCELoss', class_weight=(2, 2, 3, 3, 2, 1)),
            dict(type='mmseg.LovaszLoss', reduction='none', loss_weight=1.0),
        ]
    )
)
