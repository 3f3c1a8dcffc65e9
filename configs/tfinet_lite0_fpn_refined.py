_base_ = [
    '_base_/models/tfinet_lite0_fpn_refined.py',
    '_base_/datasets/second.py',
    '_base_/schedules/schedule_50e.py',
    '_base_/default_runtime.py',
]
