_base_ = [
    '../_base_/models/tfinet_lite0_fpn.py',
    '../_base_/datasets/second_split_a.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/default_runtime.py',
]
randomness = dict(seed=0)
# What tools/check_dataset.py compares a download with.
expected = dict(
    train=dict(pairs=2375, size=(512, 512)),
    val=dict(pairs=593, size=(512, 512)),
    test=dict(pairs=593, size=(512, 512)),
)
