"""Test that errors of P(changed) don't depend on batches, ranks and padding."""

import threading

import numpy as np
import pytest
import torch

from tfinet_mm.errors import LabelValueError, MissingLabelsError, SampleCountError
from tfinet_mm.evaluation import ReliabilityMetric, reliability_metric
from tfinet_mm.evaluation.reliability import ChangeHistogram, calibration_scores


def sample(index):
    draw = torch.Generator().manual_seed(index)
    probability = torch.rand(1, 9, 7, generator=draw)
    change = (torch.rand(1, 9, 7, generator=draw) < probability).to(torch.uint8)
    change[0, index % 9, 0] = 255
    return dict(
        sample_id=f'pair {index}',
        gt_sem_seg=dict(data=change),
        pred_change_prob=dict(data=probability),
    )


def expected(size):
    samples = [sample(index) for index in range(size)]
    probability, change = (
        torch.stack([one[name]['data'][0] for one in samples]).reshape(1, -1)
        for name in ('pred_change_prob', 'gt_sem_seg')
    )
    return calibration_scores(ChangeHistogram.from_maps(probability, change))


def scored(batches, size):
    metric = ReliabilityMetric()
    for batch in batches:
        metric.process(None, [sample(index) for index in batch])
    return metric.evaluate(size), metric.found


def test_scores_are_those_of_all_pixels_whatever_the_batches():
    scores, found = scored([[0, 1], [2]], 3)
    for name, value in expected(3).items():
        assert scores[f'change/{name}'] == pytest.approx(100 * value)
    assert scored([[2], [1], [0]], 3)[0] == pytest.approx(scores)
    assert len(found.keys) == len(set(found.keys)) == 3
    assert found.total.pixels == 3 * 9 * 7 - 3
    assert len(found.folds) == 5


def test_folds_hold_whole_pairs():
    _, found = scored([list(range(12))], 12)
    counted = [sum(key % 5 == fold for key in found.keys) for fold in range(5)]
    assert [fold.pixels for fold in found.folds] == [62 * number for number in counted]
    assert sum(number > 0 for number in counted) > 1


def test_an_evaluation_leaves_nothing_for_the_next():
    metric = ReliabilityMetric(prefix='test')
    for _ in range(2):
        metric.process(None, [sample(0)])
        scores = metric.evaluate(1)
        assert scores['test/change/ECE'] == pytest.approx(100 * expected(1)['ECE'])


class Ranks:
    """Stand-ins for MMEngine's functions between ranks, for one thread each."""

    def __init__(self, number):
        self.given = [None] * number
        self.barrier = threading.Barrier(number)
        self.rank = threading.local()

    def gather(self, value):
        self.given[self.rank.number] = value
        self.barrier.wait(30)
        found = list(self.given)
        self.barrier.wait(30)
        return found

    def reduce(self, tensor):
        parts = self.gather(tensor.clone())
        tensor.copy_(sum(parts))


def test_ranks_add_up_and_padding_does_not_count(monkeypatch):
    """Three pairs on two ranks: the second rank repeats the first pair."""
    ranks = Ranks(2)
    monkeypatch.setattr(reliability_metric, 'all_gather_object', ranks.gather)
    monkeypatch.setattr(reliability_metric, 'all_reduce', ranks.reduce)
    monkeypatch.setattr(reliability_metric, 'get_rank', lambda: ranks.rank.number)
    monkeypatch.setattr(reliability_metric, 'is_main_process', lambda: False)
    found = {}

    def run(number, batches):
        ranks.rank.number = number
        found[number] = scored(batches, 3)

    threads = [
        threading.Thread(target=run, args=(number, batches))
        for number, batches in enumerate(([[0], [2]], [[1], [0]]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in (0, 1):
        scores, counts = found[number]
        for name, value in expected(3).items():
            assert scores[f'change/{name}'] == pytest.approx(100 * value)
        assert len(counts.keys) == 3
    assert np.array_equal(found[0][1].total.counts, found[1][1].total.counts)


def test_bad_samples_are_named():
    metric = ReliabilityMetric()
    with pytest.raises(LabelValueError, match='pair 1 lacks the prediction'):
        metric.process(None, [sample(1) | dict(pred_change_prob=None)])
    with pytest.raises(MissingLabelsError, match='pair 1 lacks'):
        metric.process(None, [sample(1) | dict(gt_sem_seg=None)])
    wrong = sample(1)
    wrong['pred_change_prob'] = dict(data=torch.full((1, 9, 7), 2.0))
    with pytest.raises(LabelValueError, match='sample pair 1: P'):
        metric.process(None, [wrong])


def test_missing_samples_are_refused():
    with pytest.raises(SampleCountError):
        scored([[0, 1]], 3)
