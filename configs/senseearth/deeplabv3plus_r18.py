_base_ = [
    '../_base_/models/senseearth_deeplabv3plus_r18.py',
    '../_base_/datasets/second_split_c.py',
    '../_base_/schedules/senseearth_30e.py',
    '../_base_/default_runtime.py',
]
