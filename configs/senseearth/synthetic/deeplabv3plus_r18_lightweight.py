_base_ = [
    '../../_base_/models/small_deeplabv3plus_r18.py',
    '../../_base_/datasets/synthetic.py',
    '../../_base_/schedules/senseearth_synthetic.py',
    '../../_base_/default_runtime.py',
]
