_base_ = [
    '../_base_/models/tfinet_lite0_fpn.py',
    '../_base_/datasets/second_split_b.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/default_runtime.py',
]
randomness = dict(seed=0)
# What tools/check_dataset.py compares a download with: also the share of changed pixels, that of each
# class among them over both dates, and that of pixels with one class on both dates.
shares = {
    'water': 0.013,
    'ground': 0.360,
    'low vegetation': 0.248,
    'tree': 0.078,
    'building': 0.295,
    'sports field': 0.006,
}
expected = dict(
    train=dict(pairs=2968, size=(512, 512), changed=0.1994, classes=shares, same_class=0.042),
    val=dict(pairs=1694, size=(512, 512)),
    test=dict(pairs=1694, size=(512, 512)),
)
