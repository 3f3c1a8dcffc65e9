_base_ = ['../../../configs/_base_/models/small_tfinet_r18.py', 'setting.py']
