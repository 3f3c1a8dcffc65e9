# The third voter.
_base_ = ['../_base_/models/small_deeplabv3plus_r18.py', '../_base_/settings/study.py']
