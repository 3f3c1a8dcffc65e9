from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner
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
        if field == 'gt_sem_seg' and change == 1:
            data[0, 0, 0] = 0
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
    _epoch(_batch(1, 255, 2), _batch(255, 3, 255))


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        (
            (255, 255, 255),
            r'change or land cover before or .* 100 % are 255',
        ),
        ((0, 255, 255), r'with land cover before or land cover after: .*label1/a b\.png'),
        ((1, 2, 255), r'with land cover after: '),
    ],
)
def test_nothing_to_learn_from(labels, message):
    with pytest.raises(LabelValueError, match=message):
        _epoch(_batch(*labels), _batch(*labels))


def test_a_date_without_label_files_needs_no_labels():
    batch = _batch(1, 2, 255)
    batch['data_samples'][0].set_metainfo({'seg_map_path_to': None})
    _epoch(batch)
    batch = _batch(1, 255, 255)
    batch['data_samples'][0].set_metainfo({'seg_map_path_to': None})
    with pytest.raises(LabelValueError, match='land cover before'):
        _epoch(batch)


def test_a_date_that_a_data_set_never_labels_is_not_looked_for():
    def check(dates, batch):
        dataset = SimpleNamespace(datasets=[_Dates(dates)] * 2)
        runner = SimpleNamespace(model=None, train_dataloader=_Loader(dataset))
        LabelCheckHook().after_train_iter(runner, 0, batch)

    check(('to',), _batch(1, 255, 2))
    with pytest.raises(LabelValueError, match='with land cover before: '):
        check(('from', 'to'), _batch(1, 255, 2))
    with pytest.raises(LabelValueError, match='with land cover after: '):
        check(('to',), _batch(1, 2, 255))


class _Dates(list):
    def __init__(self, dates):
        super().__init__(['a pair'])
        self.labelled_dates = dates


class _Loader:
    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return 1


def test_looks_at_the_first_epoch_only():
    hook = _epoch(_batch(1, 3, 2))
    hook.after_train_iter(None, 0, _batch(255, 255, 255))
    hook.after_train_epoch(None)


def _whole(change, before, after):
    """Give all pixels of a pair one value."""
    batch = _batch(change, before, after)
    for field in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
        data = batch['data_samples'][0].get(field).data
        data[:] = data[0, 1, 2].clone()
    return batch


@pytest.mark.parametrize(
    ('batches', 'message'),
    [
        ([_whole(1, 3, 2), _batch(255, 1, 1)], r'no pixel .* is unchanged.*unchanged_value=255'),
        ([_whole(0, 3, 2)], r'no pixel .* is changed.*change_storage="0/255"'),
        ([_batch(1, 3, 3), _batch(1, 0, 0)], 'the same class on both dates'),
    ],
)
def test_pairs_of_one_kind_stop(batches, message):
    with pytest.raises(LabelValueError, match=message):
        _epoch(*batches)


def test_one_class_alone_may_replace_itself():
    _epoch(_batch(1, 0, 0), _batch(1, 0, 0))


class _Nothing(BaseModel):
    """Model that trains on any labels."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return {'loss': self.weight.square()}


def _collate(samples):
    return {'inputs': None, 'data_samples': [s for one in samples for s in one['data_samples']]}


def _train(tmp_path, labels, max_iters, **options):
    """Train on pairs of these labels, one in each batch; return the iterations before an error."""
    model = _Nothing()
    runner = Runner(
        model,
        str(tmp_path),
        dict(
            dataset=[_batch(*each) for each in labels],
            sampler=dict(type='InfiniteSampler', shuffle=False),
            batch_size=1,
            collate_fn=_collate,
        ),
        train_cfg=dict(type=IterBasedTrainLoop, max_iters=max_iters),
        optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)),
        custom_hooks=[LabelCheckHook(**options)],
        default_hooks=dict(checkpoint=None, logger=None),
        experiment_name=tmp_path.name,
        log_level='ERROR',
    )
    with pytest.raises(LabelValueError) as caught:
        runner.train()
    return runner.iter + 1, str(caught.value)


def test_speaks_after_one_pass_of_a_loop_of_iterations(tmp_path):
    ran, message = _train(tmp_path, [(0, 255, 255)] * 3, 1000)
    assert ran == 3
    assert 'land cover before or land cover after' in message


@pytest.mark.parametrize('labels', [(255, 255, 255), (1, 255, 255)])
def test_speaks_in_the_first_iterations_of_many_pairs(tmp_path, labels):
    ran, message = _train(tmp_path, [labels] * 50, 1000, iterations=4)
    assert ran == 4
    assert 'label_check=dict(iterations=...)' in message


@pytest.mark.parametrize('labels', [(0, 255, 255), (1, 2, 255)])
def test_waits_for_land_cover_that_may_come_later(labels):
    """Without change so far, or with one date labelled, the first pass decides."""
    runner = SimpleNamespace(train_dataloader=range(20))
    hook = LabelCheckHook(iterations=2)
    for index in range(10):
        hook.after_train_iter(runner, index, _batch(*labels))
    hook.after_train_iter(runner, 10, _batch(1, 3, 2))
    for index in range(11, 20):
        hook.after_train_iter(runner, index, _batch(*labels))
    hook.after_train_epoch(runner)
