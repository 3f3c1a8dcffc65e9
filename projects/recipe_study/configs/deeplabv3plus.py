# The third voter.
_base_ = ['../../../configs/_base_/models/small_deeplabv3plus_r18.py', 'setting.py']
