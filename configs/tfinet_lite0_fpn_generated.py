# The network of the weights of the package, which tfinet_lite0_fpn.py corrects at half the image's
# size, on SECOND.
_base_ = [
    '_base_/models/tfinet_lite0_fpn_plain.py',
    '_base_/datasets/second.py',
    '_base_/schedules/schedule_50e.py',
    '_base_/default_runtime.py',
]
