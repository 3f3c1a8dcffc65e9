_base_ = ['../_base_/models/small_pspnet_r18.py', '../_base_/settings/study.py']
