# Pairs that are changed on a fifth of their pixels or more have two places in an epoch. Nearly every
# pair of the synthetic set has some change, so that a smaller share would choose little.
_base_ = './base.py'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='tfinet_mm.ChangeBalancedDataset',
        changed_times=2,
        min_share=0.2,
        dataset=_base_.train_dataloader.dataset,
    )
)
