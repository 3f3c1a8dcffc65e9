# The mean teacher remembers about 100 of the 480 iterations and labels from the fifth epoch on; so
# early in training few pixels reach the default confidence of 0.9.
_base_ = 'senseearth_unweighted.py'
custom_hooks = [
    dict(type='tfinet_mm.MeanTeacherHook', momentum=0.99, warmup=4, threshold=0.7),
]
