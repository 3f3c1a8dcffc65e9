# Landsat-SCD as released: data/landsat_scd/{A,B,label}, label with ten classes of transitions.
# Without augmented copies, three fifths of the pairs are for training, one for validation and one
# for testing.
# For labels of each date: labels='per_date' and data_prefix with their two folders.
_base_ = './pairs.py'

common = dict(type='tfinet_mm.LandsatSCDDataset', data_root='data/landsat_scd')

train_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=[0, 1], keep='rest')))
val_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=0, keep='held_out')))
test_dataloader = dict(dataset=dict(**common, fold=dict(every=5, start=1, keep='held_out')))
