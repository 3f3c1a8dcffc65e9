# Split C, SenseEarth's: every tenth of the 2968 sorted pairs, from the first on, to validate and
# test on (297), the other 2671 to train on. Needs no test folder. For the layout of the SenseEarth
# release set data_root of the three data sets to the folder that holds im1, im2, label1, label2.
_base_ = './second.py'

test_dataloader = dict(
    dataset=dict(data_root='data/second/train', fold=dict(every=10, start=0, keep='held_out'))
)
