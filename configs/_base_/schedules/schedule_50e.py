# TFINet's schedule: Adam, 50 epochs of batches of 8 (all processes together),
# the learning rate of epoch e = 0..49 is 2e-4 * (1 - e / 51).
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, weight_decay=1e-4))
# MMEngine's polynomial reaches eta_min after end - begin - 1 epochs.
param_scheduler = dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=52, by_epoch=True)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# With --cfg-options auto_scale_lr.enable=True the rate follows the batch size.
auto_scale_lr = dict(enable=False, base_batch_size=8)
