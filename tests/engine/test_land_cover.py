"""Test what is trained and which score is best where land cover isn't annotated."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop
from mmengine.structures import PixelData
from mmseg.models.losses import CrossEntropyLoss
from mmseg.structures import SegDataSample
from torch import nn

from tfinet_mm.engine.hooks import LabelCheckHook
from tfinet_mm.engine.land_cover import (
    change_only_pairs,
    check_change_labels,
    check_scored_change,
    check_wrapper,
    choose_best_by_change,
    describe_training,
    diluted_heads,
    labelled_pairs,
    set_trained_roles,
    with_land_cover,
)
from tfinet_mm.engine.randomness import SeededDataset
from tfinet_mm.errors import ConfigError, LabelValueError
from tfinet_mm.evaluation import SCDMetric


class Data:
    """Data set of two pairs."""

    def __init__(self, change_only):
        self.change_only = change_only
        self.metainfo = {}

    def __len__(self):
        return 2


def joined(*parts):
    """Return a wrapper of several data sets."""
    return SimpleNamespace(datasets=list(parts))


MASKS, COVERED = Data(True), Data(False)


@pytest.mark.parametrize(
    ('data', 'expected'),
    [
        (MASKS, (2, 2)),
        (COVERED, (0, 2)),
        (joined(MASKS, COVERED, joined(MASKS)), (4, 6)),
        (SeededDataset(joined(MASKS, COVERED)), (2, 4)),
        (SimpleNamespace(dataset=joined(MASKS)), (2, 2)),
        (range(5), (0, 5)),  # of another package
    ],
)
def test_pairs_are_counted_within_wrappers(data, expected):
    assert change_only_pairs(data) == expected


def test_a_detector_trains_what_is_annotated():
    network = nn.Identity()
    network.trained_roles = None
    assert set_trained_roles(network, MASKS) == network.trained_roles == ('change',)
    for data in (COVERED, joined(MASKS, COVERED)):
        assert set_trained_roles(network, data) == network.trained_roles == ('land_cover', 'change')
    assert set_trained_roles(nn.Identity(), MASKS) == ('change',)
    assert describe_training(COVERED, ('land_cover', 'change')) is None
    assert describe_training(joined(MASKS, COVERED), ('land_cover', 'change')).startswith(
        'Land cover is annotated in 2 of 4 training pairs'
    )


def test_land_cover_is_unknown_where_it_is_not_annotated():
    masked, covered = SegDataSample(), SegDataSample()
    masked.gt_sem_seg = PixelData(data=torch.ones(1, 2, 3, dtype=torch.int64))
    for field in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
        covered.set_data({field: PixelData(data=torch.zeros(1, 2, 3, dtype=torch.int64))})
    filled, same = with_land_cover([masked, covered])
    assert same is covered
    assert 'gt_sem_seg_from' not in masked
    for field in ('gt_sem_seg_from', 'gt_sem_seg_to'):
        assert torch.equal(getattr(filled, field).data, torch.full((1, 2, 3), 255))


@pytest.mark.parametrize('prefix', [None, 'val'])
@pytest.mark.parametrize(
    ('stated', 'expected'),
    [
        ('Score', ['change/IoU']),
        (['SeK', 'Fscd'], ['change/IoU']),
        (['change/F1', 'Score'], ['change/F1', 'change/IoU']),
        ('change/F1', ['change/F1']),
    ],
)
def test_change_chooses_the_best_checkpoint(prefix, stated, expected):
    def named(keys):
        return [f'{prefix}/{key}' if prefix else key for key in keys]

    keys = [stated] if isinstance(stated, str) else stated
    for data, best in ((MASKS, expected), (joined(MASKS, COVERED), keys)):
        hook = CheckpointHook(save_best=named(keys), rule='greater')
        runner = SimpleNamespace(
            _val_loop=BaseLoop.__new__(type('Loop', (BaseLoop,), {'run': None})),
            val_dataloader=SimpleNamespace(dataset=data),
            val_evaluator=SimpleNamespace(metrics=[SCDMetric(prefix=prefix)]),
            hooks=[hook],
        )
        choose_best_by_change(runner)
        assert list(hook.key_indicators) == named(best)
        assert hook.rules == ['greater'] * len(best)
        assert set(named(best)) <= set(hook.is_better_than)
        assert hasattr(hook, 'best_ckpt_path') or len(best) > 1


def test_a_wrapper_must_not_wait_for_the_semantic_head():
    check_wrapper(SimpleNamespace(find_unused_parameters=True))
    check_wrapper(nn.Identity())
    with pytest.raises(ConfigError, match='find_unused_parameters = True'):
        check_wrapper(SimpleNamespace(find_unused_parameters=False))


def test_labels_of_change_are_enough_where_change_alone_is_trained():
    class Loader(list):
        dataset = MASKS

    runner = SimpleNamespace(train_dataloader=Loader(range(2)))

    def epoch(*values):
        hook = LabelCheckHook(iterations=1)
        for index, value in enumerate(values):
            sample = SegDataSample()
            sample.gt_sem_seg = PixelData(data=torch.tensor([[[value, 255]]]))
            hook.after_train_iter(runner, index, {'data_samples': [sample]})
        hook.after_train_epoch(runner)

    epoch(1, 0)
    with pytest.raises(LabelValueError, match='labelled with change: 100 %'):
        epoch(255, 255)
    with pytest.raises(LabelValueError, match='is unchanged'):
        epoch(1, 1)


class Kinds(Data):
    """Data set of two pairs with some kinds of labels."""

    def __init__(self, dates=('from', 'to'), change=True):
        super().__init__(change_only=change and not dates)
        self.labelled_dates, self.without_change = dates, not change
        self.without_labels = not change and not dates


ONE_DATE = Kinds(('from',), change=False)
NOTHING = Kinds((), change=False)


@pytest.mark.parametrize(
    ('data', 'counts', 'roles'),
    [
        (Kinds(), (2, 2, 2, 2), ('land_cover', 'change')),
        (MASKS, (2, 0, 0, 2), ('change',)),
        (joined(MASKS, NOTHING), (4, 0, 0, 2), ('change',)),
        (joined(MASKS, ONE_DATE), (4, 2, 0, 2), ('land_cover', 'change')),
        (joined(Kinds(('to',)), ONE_DATE, NOTHING), (6, 2, 2, 2), ('land_cover', 'change')),
        (SeededDataset(joined(COVERED, NOTHING)), (4, 2, 2, 2), ('land_cover', 'change')),
    ],
)
def test_pairs_are_counted_by_their_labels(data, counts, roles):
    network = nn.Identity()
    network.trained_roles = network.partly_labelled = None
    assert labelled_pairs(data) == counts
    assert set_trained_roles(network, data) == roles
    trained = counts[1:] if 'land_cover' in roles else counts[3:]
    assert network.partly_labelled == (min(trained) < counts[0])


def test_the_log_says_which_labels_there_are():
    said = describe_training(joined(COVERED, ONE_DATE), ('land_cover', 'change'))
    assert '4 training pairs, 2 have labels of change, 4 land cover before and 2' in said


def test_a_training_without_labels_of_change_is_refused():
    check_change_labels(joined(MASKS, ONE_DATE))
    with pytest.raises(ConfigError, match='none of the 2 training pairs has labels of change'):
        check_change_labels(ONE_DATE)


def test_pairs_without_labels_need_a_teacher_that_labels_change():
    teacher = SimpleNamespace(change_threshold=0.9)
    check_change_labels(joined(COVERED, NOTHING), [SimpleNamespace(), teacher])
    for hooks in ([], [SimpleNamespace(change_threshold=None)]):
        with pytest.raises(ConfigError, match='MeanTeacherHook'):
            check_change_labels(SeededDataset(joined(COVERED, NOTHING)), hooks)


def test_heads_whose_losses_shrink_with_the_labels_are_named():
    head = SimpleNamespace(loss_decode=CrossEntropyLoss())
    network = nn.Identity()
    network.semantic_head, network.change_head = head, None
    network.auxiliary_heads = [SimpleNamespace(loss_decode=CrossEntropyLoss(avg_non_ignore=True))]
    assert diluted_heads(network) == ['semantic_head']


def test_scores_of_pairs_without_labels_of_change_are_refused(monkeypatch):
    """Each score would be 0, and the best checkpoint the first."""
    said = []
    monkeypatch.setattr(
        'tfinet_mm.engine.land_cover.print_log', lambda text, logger, level: said.append(text)
    )

    def loop(data, *metrics):
        return SimpleNamespace(
            dataloader=SimpleNamespace(dataset=data), evaluator=SimpleNamespace(metrics=metrics)
        )

    with pytest.raises(
        ConfigError, match=r'none of the 2 pairs of val_dataloader has .*val_evaluator=\[\]'
    ):
        check_scored_change(loop(NOTHING, SCDMetric()), 'val')
    check_scored_change(loop(NOTHING), 'test')
    check_scored_change(loop(joined(COVERED, MASKS), SCDMetric()), 'test')
    assert said == []
    check_scored_change(loop(joined(COVERED, NOTHING), SCDMetric()), 'test')
    (text,) = said
    assert text.startswith('2 of 4 pairs of test_dataloader have labels of change')
