# Pairs that calibrate P(changed) of the final weights: as of the last training, of scenes that no
# training has seen. run.py fits one temperature for each set of views that predictions average.
_base_ = './base.py'

val_dataloader = dict(dataset=dict(first=12_000_000, world=dict(size=160, resolutions=(0.3, 5.0))))
