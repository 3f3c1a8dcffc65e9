"""Test the report of a test, of the small run in conftest.py."""

import json
import re

import numpy as np
import pytest

from tfinet_mm.errors import ReportError
from tfinet_mm.evaluation import PairCounts, SCDConfusion, scd_scores, score_intervals
from tfinet_mm.report import PairCollector
from tfinet_mm.report.collected import report_data
from tfinet_mm.report.hook import ReportHook
from tfinet_mm.report.numbers import percent
from tfinet_mm.structures import SECOND


def block(text, name):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)[1])


def annotation(shape):
    change = np.zeros(shape, np.int64)
    change[:12] = 1
    return change


def counted(new_runner, index):
    change, label1, label2, *_ = (m.numpy() for m in new_runner.prediction(index))
    truth = annotation(change.shape)
    return SCDConfusion.from_maps(truth, truth * 4, truth * 2, change, label1, label2, 6)


def test_scores_maps_and_index(new_runner, tmp_path):
    file = tmp_path / 'sub' / 'page.html'
    hook = dict(type='tfinet_mm.ReportHook', file=str(file), settings={'config': 'x & y'})
    new_runner([hook]).test()
    text = file.read_text(encoding='utf-8')
    pairs = [block(text, f'pair-{i}') for i in range(len(new_runner.names))]
    assert {pair['name'] for pair in pairs} == set(new_runner.names)
    scores = [pair['scores']['score'] for pair in pairs if pair['reason'] == 'worst']
    assert scores == sorted(scores)
    for pair in pairs:
        index = new_runner.names.index(pair['name'])
        counts = counted(new_runner, index).from_to
        right = np.trace(counts) - counts[0, 0]
        found = 100 * right / (counts.sum() - counts[0, 0])
        assert pair['scores']['IoU_from_to'] == pytest.approx(found)
        change, _, _, _, _, prob = (m.numpy() for m in new_runner.prediction(index))
        assert pair['areas']['changed'] == change.sum()
        changed = np.histogram(prob[:12], 20, (0, 1))[0]
        assert pair['areas']['histogramChanged'] == changed.tolist()
        assert pair['annotatedFrom'].startswith('data:image/png')
        assert pair['before'].startswith('data:image/jpeg')
    total = sum((counted(new_runner, i) for i in range(5)), SCDConfusion.zeros(6))
    assert f'<dd>{scd_scores(total.scd)["SeK"]:.2f}</dd>' in text
    pairs = PairCounts(6)
    for index in range(5):
        pairs.add(counted(new_runner, index))
    intervals = score_intervals(PairCounts.merge([pairs.pack()], 6), SECOND)
    low, high = intervals.bounds['scores\0SeK']
    assert low < high
    assert f'<td class="num">{low:.2f} to {high:.2f}</td>' in text
    shared = block(text, 'report-data')
    assert shared['present']['from'][5] == bool((total.date_from[5] + total.date_from[:, 5]).sum())
    assert '<dd>x &amp; y</dd>' in text
    assert shared['reliability'] is None
    assert '#reliability' not in text


def test_the_reliability_that_the_test_counted(new_runner, tmp_path):
    """Its numbers are those of a loop over bins of all pixels at once."""
    file = tmp_path / 'page.html'
    hook = dict(type='tfinet_mm.ReportHook', file=str(file))
    new_runner([hook], test_evaluator=[dict(type='tfinet_mm.ReliabilityMetric', bins=5)]).test()
    text = file.read_text(encoding='utf-8')
    prob = np.stack([new_runner.prediction(i)[5].numpy() for i in range(5)]).astype(np.float64)
    changed = np.stack([annotation(prob.shape[1:])] * 5)
    place = np.minimum((prob * 5).astype(int), 4)
    bins = block(text, 'report-data')['reliability']
    assert [one['pixels'] for one in bins] == np.bincount(place.ravel()).tolist()
    means = [(prob[place == i].mean(), changed[place == i].mean()) for i in range(5)]
    found = [(one['predicted'], one['changed']) for one in bins]
    np.testing.assert_allclose(found, means, atol=1e-12)
    gaps = [abs(p - c) for p, c in means]
    ece = 100 * np.average(gaps, weights=np.bincount(place.ravel()))
    for title, value in (
        ('Mean error (ECE)', ece),
        ('Largest error of a bin (MCE)', 100 * max(gaps)),
    ):
        assert f'<dt>{title}</dt><dd>{percent(value)}</dd>' in text
    brier = ((prob - changed) ** 2).mean()
    assert f'<dt>Brier score</dt><dd>{brier:.4f}</dd>' in text
    assert '<a href="#reliability">' in text


def test_nothing_tested_is_no_report(new_runner, tmp_path, capfd):
    file = tmp_path / 'page.html'
    hook = ReportHook(str(file))
    runner = new_runner([hook])
    hook.before_test_epoch(runner)
    hook.after_test_epoch(runner)
    assert not file.exists()
    captured = capfd.readouterr()
    assert 'No report: nothing was tested' in captured.out + captured.err


def test_without_labels_there_are_no_scores(new_runner, tmp_path):
    dataset = new_runner.pairs(tmp_path / 'data', labels=False)
    file = tmp_path / 'page.html'
    new_runner([dict(type='tfinet_mm.ReportHook', file=str(file))], dataset=dataset).test()
    text = file.read_text(encoding='utf-8')
    assert 'id="scores"' not in text
    assert block(text, 'pair-0')['annotatedFrom'] is None


def test_masks_alone_have_the_scores_of_change(new_runner, tmp_path):
    class Masks(new_runner.pairs):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            del item['data_samples'].gt_sem_seg_from, item['data_samples'].gt_sem_seg_to
            return item

    file = tmp_path / 'page.html'
    hook = dict(type='tfinet_mm.ReportHook', file=str(file))
    new_runner([hook], dataset=Masks(tmp_path / 'data')).test()
    text = file.read_text(encoding='utf-8')
    total = sum(counted(new_runner, i).change for i in range(5))
    iou = 100 * total[1, 1] / (total.sum() - total[0, 0])
    assert f'<dt>IoU of change</dt><dd>{iou:.2f}</dd>' in text
    assert 'Only change is scored: no pair has annotated land cover' in text
    assert 'id="plot-classes"' not in text
    shared = block(text, 'report-data')
    assert shared['perClass'] is shared['present'] is None
    pair = block(text, 'pair-0')
    counts = counted(new_runner, new_runner.names.index(pair['name'])).change
    found = 100 * counts[1, 1] / (counts.sum() - counts[0, 0])
    assert pair['scores']['IoU_change'] == pytest.approx(found)


def test_limits_are_checked_before_the_test():
    with pytest.raises(ReportError, match='max_pairs of 1 or more'):
        ReportHook('x.html', max_pairs=0)


class Maps:
    """Stands for PairMaps of a pair with as many changed pixels as its place."""

    def __init__(self, place):
        self.predicted_change = (np.arange(100).reshape(10, 10) < place).astype(np.uint8)
        self.predicted_from = self.predicted_to = self.predicted_change
        self.change = self.annotated_from = self.annotated_to = None
        self.change_prob = None


def test_memory_is_bounded_and_processes_are_joined(table_of_two):
    """40 pairs in two processes, one of them twice: maps of few are kept, numbers of all."""
    parts = []
    for rank in range(2):
        collector = PairCollector(2, max_pairs=3, max_side=64)
        for place in range(rank, 40, 2):
            collector.add(place, f'p{place}', Maps(place), None, ('x', 'y'), None)
            assert len(collector.maps) <= 18
        if rank:
            collector.add(40, 'p0', Maps(0), None, ('x', 'y'), None)
        collector.prune()
        assert len(collector.maps) == 3
        parts.append((collector.pairs, collector.maps))
    data = report_data(parts, table_of_two, 0.5, {})
    assert [one.name for one in data.summaries] == [f'p{i}' for i in range(40)]
    assert data.scores is None
    view = data.view(39, 64, 0)
    assert (view.labels_from > 0).sum() == 39
    assert view.before is None


@pytest.fixture
def table_of_two():
    from tfinet_mm.structures import ClassTable

    return ClassTable(('same', 'a', 'b'), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))
