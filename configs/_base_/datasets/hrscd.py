# HRSCD as released, its archives unpacked side by side into data/hrscd. Tiles of 10000 x 10000
# pixels are read in windows: of 512 for training, of 500 for testing, which divide a tile
# without overlap, so that no pixel is scored twice. One tile in five is for testing, one for
# validation.
_base_ = './pairs.py'

common = dict(type='tfinet_mm.HRSCDDataset', data_root='data/hrscd')
held_out = dict(**common, window=(500, 500), window_edge='drop')

train_dataloader = dict(
    dataset=dict(**common, window=(512, 512), fold=dict(every=5, start=[0, 1], keep='rest'))
)
val_dataloader = dict(dataset=dict(**held_out, fold=dict(every=5, start=0, keep='held_out')))
test_dataloader = dict(dataset=dict(**held_out, fold=dict(every=5, start=1, keep='held_out')))
