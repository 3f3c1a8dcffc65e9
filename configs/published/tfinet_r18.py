# The published TFINet to the letter: what a checkpoint that
# tools/convert_checkpoint.py --network tfinet wrote loads into, strictly.
_base_ = '../tfinet_r18.py'
model = dict(
    backbone=dict(init_cfg=None),
    semantic_head=dict(classifier='block'),
)
