_base_ = ['../../../configs/_base_/models/small_pspnet_r18.py', 'setting.py']
