# Half the labelled pairs have only the land cover of the image before, and no label of change.
_base_ = './base.py'
labelled = _base_.train_dataloader.dataset
one_date = dict(
    type=labelled.type,
    data_root=labelled.data_root,
    pipeline=labelled.pipeline,
    data_prefix=dict(seg_map_path_from='cover1', seg_map_path_to=None),
    label_semantics='land_cover',
    change_storage='unknown',
    indices=-160,
)
labelled.indices = 160
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[labelled, one_date])
)
