_base_ = ['../../../configs/_base_/models/small_tfinet_r18.py', 'setting_pseudo.py']
model = dict(semantic_head=dict(loss_decode=dict(class_weight=None)))
