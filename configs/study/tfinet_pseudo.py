_base_ = ['../_base_/models/small_tfinet_r18.py', '../_base_/settings/study_pseudo.py']
model = dict(semantic_head=dict(loss_decode=dict(class_weight=None)))
