import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.engine.hooks import LabelCheckHook
from tfinet_mm.errors import LabelValueError


def _batch(change, before, after):
    sample = SegDataSample(metainfo={'seg_map_path_from': 'label1/a b.png'})
    for field, value in (
        ('gt_sem_seg', change),
        ('gt_sem_seg_from', before),
        ('gt_sem_seg_to', after),
    ):
        data = torch.full((1, 4, 4), 255)
        data[0, 1, 2] = value
        sample.set_data({field: PixelData(data=data)})
    return {'data_samples': [sample]}


def _epoch(*batches):
    hook = LabelCheckHook()
    for index, batch in enumerate(batches):
        hook.after_train_iter(None, index, batch)
    hook.after_train_epoch(None)
    return hook


def test_one_labelled_pixel_is_enough():
    _epoch(_batch(255, 255, 255), _batch(1, 3, 2))
    _epoch(_batch(0, 255, 2), _batch(255, 3, 255))


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        ((255, 255, 255), r'whether it changed or the land cover before or .* 100 % are 255'),
        ((0, 255, 255), r'with the land cover before or the land cover after: .*label1/a b\.png'),
        ((1, 2, 255), r'with the land cover after: '),
    ],
)
def test_nothing_to_learn_from(labels, message):
    with pytest.raises(LabelValueError, match=message):
        _epoch(_batch(*labels), _batch(*labels))


def test_looks_at_the_first_epoch_only():
    hook = _epoch(_batch(1, 3, 2))
    hook.after_train_iter(None, 0, _batch(255, 255, 255))
    hook.after_train_epoch(None)
