# Exactly the published TFINet: checkpoints of
# tools/convert_checkpoint.py --network tfinet load into it strictly.
_base_ = '../tfinet_r18.py'
model = dict(
    backbone=dict(init_cfg=None),
    semantic_head=dict(classifier='block'),
)
