# The baseline with heads as narrow as those of tfinet_r18_fpn.py: what narrow heads earn by themselves.
_base_ = '../../../configs/baselines/scd_upernet_r18.py'
model = dict(semantic_head=dict(channels=48), change_head=dict(channels=48))
