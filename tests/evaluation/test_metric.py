"""Test that the metric doesn't depend on batches, ranks and padding, and its errors."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from tfinet_mm.errors import LabelValueError, MissingLabelsError, SampleCountError
from tfinet_mm.evaluation import (
    PairCounts,
    SCDConfusion,
    SCDMetric,
    scd_scores,
    score_intervals,
    scores_report,
)
from tfinet_mm.evaluation.metric import RankReport, padded_ranks
from tfinet_mm.structures import SECOND

SCRIPT = Path(__file__).with_name('two_ranks.py')
HELPERS = runpy.run_path(str(SCRIPT))
pair, new_metric = HELPERS['pair'], HELPERS['new_metric']


def scored(batches, size, **options):
    metric = new_metric(**options)
    for batch in batches:
        metric.process(None, batch)
    return metric.evaluate(size)


def counted(index):
    """Return the counts of one pair."""
    sample = pair(index)
    maps = [sample[name]['data'] for name in (*HELPERS['GT'], *HELPERS['PRED'])]
    return SCDConfusion.from_maps(*maps, 6)


def expected_scores(size):
    """Return the scores of the sum of the counts."""
    return scd_scores(sum((counted(index) for index in range(size)), SCDConfusion.zeros(6)).scd)


def test_scores_are_those_of_the_summed_counts():
    scores = scored([[pair(0), pair(1)], [pair(2)]], 3)
    assert {name: scores[name] for name in expected_scores(3)} == expected_scores(3)
    assert list(scores)[10:] == [
        'SeK_from_to',
        'Fscd_from_to',
        'change/precision',
        'change/recall',
        'change/F1',
        'change/IoU',
        'change/OA',
    ]


def test_a_config_is_checked_by_the_names_that_are_returned():
    assert set(scored([[pair(0)]], 1)) == set(SCDMetric.result_names)


def test_batch_size_and_order_do_not_matter():
    one_by_one = scored([[pair(i)] for i in range(5)], 5)
    assert scored([[pair(i) for i in (4, 2)], [pair(i) for i in (0, 1, 3)]], 5) == one_by_one


CASES = [
    dict(size=3, round_up=True, batch_size=1, shuffle=False),
    dict(size=3, round_up=False, batch_size=1, shuffle=False),
    dict(size=3, round_up=True, batch_size=2, shuffle=True),
    dict(size=1, round_up=True, batch_size=1, shuffle=False),
    dict(size=1, round_up=False, batch_size=1, shuffle=False),
    # The first pair, which fills up the second rank, is one with a change mask alone.
    dict(size=3, round_up=True, batch_size=1, shuffle=False, masked=[0]),
    dict(size=3, round_up=True, batch_size=2, shuffle=False, masked=[0, 1, 2]),
]


@pytest.fixture(scope='module')
def two_ranks(tmp_path_factory):
    """Return a folder with the results of two processes for every case."""
    folder = tmp_path_factory.mktemp('two_ranks')
    (folder / 'cases.json').write_text(json.dumps(CASES))
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, folder, str(rank), '2'], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return folder


@pytest.mark.parametrize('number', range(len(CASES)))
def test_two_ranks_give_what_one_gives(two_ranks, number):
    size, masked = CASES[number]['size'], CASES[number].get('masked', [])
    pairs = [pair(index) for index in range(size)]
    for index in masked:
        del pairs[index]['gt_sem_seg_from'], pairs[index]['gt_sem_seg_to']
    single = scored([[one] for one in pairs], size)
    for rank in range(2):
        assert json.loads((two_ranks / str(number) / f'rank{rank}.json').read_text()) == single
    report = json.loads((two_ranks / str(number) / 'scores.json').read_text())
    assert report['num_samples'] == size
    assert sum(map(sum, report['confusion']['change'])) == size * 72
    assert report['land_cover_samples'] == size - len(masked)
    if not masked:
        assert report['intervals'] == intervals(size)


def intervals(size):
    """Return the intervals of the report for pairs that are collected here one by one."""
    pairs = PairCounts(6)
    for index in range(size):
        pairs.add(counted(index))
    pairs = PairCounts.merge([pairs.pack()], 6)
    total = sum((counted(index) for index in range(size)), SCDConfusion.zeros(6))
    return json.loads(
        json.dumps(scores_report(total, SECOND, size, score_intervals(pairs, SECOND))['intervals'])
    )


@pytest.mark.parametrize('ranks', range(1, 6))
@pytest.mark.parametrize('size', range(1, 12))
@pytest.mark.parametrize('round_up', [True, False])
def test_padding_is_found_for_every_size(ranks, size, round_up):
    total = -(-size // ranks) * ranks if round_up else size
    order = [position % size for position in range(total)]
    shares = [order[rank::ranks] for rank in range(ranks)]
    reports = [RankReport(len(s), *(map(str, (s[0], s[-1])) if s else ())) for s in shares]
    padded = padded_ranks(reports, size)
    kept = [i for rank, s in enumerate(shares) for i in (s[:-1] if rank in padded else s)]
    assert sorted(kept) == list(range(size))


def test_any_distribution_without_padding_is_right():
    assert padded_ranks([RankReport(3, 'a', 'c'), RankReport(1, 'd', 'd')], 4) == []


@pytest.mark.parametrize(
    ('counts', 'size'), [([2], 3), ([4], 3), ([2, 2], 6), ([3, 3], 4), ([1], 0), ([0, 0], 1)]
)
def test_missing_or_repeated_samples_are_an_error(counts, size):
    with pytest.raises(SampleCountError, match=f'has {size} samples, but {sum(counts)}'):
        padded_ranks([RankReport(count, 'a', 'a') for count in counts], size)


def test_padding_in_an_unknown_order_is_an_error():
    # Blocks: a b | c c. The last of rank 1 is padding, but not by DefaultSampler's order.
    with pytest.raises(SampleCountError, match="last sample of rank 1, 'c', should repeat 'a'"):
        padded_ranks([RankReport(2, 'a', 'b'), RankReport(2, 'c', 'c')], 3)


def test_every_evaluation_starts_anew():
    metric = new_metric()
    for first in (0, 3):
        metric.process(None, [pair(first), pair(first + 1)])
        assert metric.evaluate(2) == scored([[pair(first), pair(first + 1)]], 2)


@pytest.mark.parametrize('resamples', [0, 10])
def test_of_each_pair_only_its_counts_are_kept(resamples):
    metric = new_metric(resamples=resamples)
    for index in range(5):
        metric.process(None, [pair(index)])
    assert metric.results == []
    nonzero = sum(np.count_nonzero(counted(index).flatten()) for index in range(5))
    kept = metric._pairs.nbytes if resamples else metric._pairs
    assert kept == (5 * 8 + 12 * nonzero if resamples else None)


def test_intervals_are_optional_and_seeded(tmp_path):
    def written(**options):
        file = tmp_path / 'scores.json'
        scored([[pair(i)] for i in range(4)], 4, out_file=str(file), **options)
        return json.loads(file.read_text())['intervals']

    assert written(resamples=0) is None
    first = written(resamples=50, seed=1)
    assert (first['resamples'], first['seed'], first['level']) == (50, 1, 0.95)
    assert written(resamples=50, seed=1) == first != written(resamples=50, seed=2)
    with pytest.raises(ValueError, match='got -1; use 0 for no intervals'):
        new_metric(resamples=-1)


def test_through_the_evaluator_with_data_samples():
    from mmseg.structures import SegDataSample

    sample = SegDataSample(metainfo={'sample_id': 'a'})
    for name, value in pair(0).items():
        if name != 'sample_id':
            sample.set_data({name: PixelData(data=value['data'])})
    evaluator = Evaluator(dict(type='tfinet_mm.SCDMetric'))
    evaluator.dataset_meta = SECOND.metainfo()
    evaluator.process([sample])
    assert evaluator.evaluate(1) == scored([[pair(0)]], 1)


def test_found_by_mmengine_under_its_full_name():
    from mmengine.registry import METRICS as MMENGINE_METRICS

    assert isinstance(MMENGINE_METRICS.build(dict(type='tfinet_mm.SCDMetric')), SCDMetric)


def test_json_table_and_per_class_scores(tmp_path):
    out_file = tmp_path / 'new folder' / 'scores.json'
    scores = scored([[pair(0)]], 1, out_file=str(out_file), per_class=True)
    report = json.loads(out_file.read_text())
    assert report['scores'] == {
        k: v for k, v in scores.items() if '_from/' not in k and '_to/' not in k
    }
    assert scores['IoU_from/water'] == report['per_class']['from']['water']['IoU']
    assert scores['F1_to/sports field'] == report['per_class']['to']['sports field']['F1']
    assert [path.name for path in out_file.parent.iterdir()] == ['scores.json']


def test_table_goes_to_the_logger(monkeypatch):
    printed = []
    monkeypatch.setattr(
        'tfinet_mm.evaluation.metric.print_log', lambda text, logger: printed.append((text, logger))
    )
    scored([[pair(0)]], 1)
    ((text, logger),) = printed
    assert 'low vegetation' in text
    assert logger == 'current'


def test_prefix():
    assert 'val/Score' in scored([[pair(0)]], 1, prefix='val')


def test_no_pairs_at_all():
    assert set(new_metric().evaluate(0).values()) == {0.0}


@pytest.mark.parametrize('missing', ['gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'])
def test_data_without_labels(missing):
    sample = pair(0)
    del sample[missing]
    with pytest.raises(MissingLabelsError, match=f'no labels.*folder/0 lacks .{missing}'):
        scored([[sample]], 1)


def test_model_without_prediction():
    sample = pair(0)
    del sample['pred_sem_seg_to']
    with pytest.raises(LabelValueError, match='lacks the prediction'):
        scored([[sample]], 1)


def test_the_sample_with_a_wrong_map_is_named():
    sample = pair(0)
    sample['gt_sem_seg_to']['data'][0, 0, 0] = 6
    with pytest.raises(LabelValueError, match=r'sample folder/0: .* holds 6, expected 0..5'):
        scored([[sample]], 1)
    sample = pair(0)
    sample['pred_sem_seg'] = {'data': torch.zeros(1, 16, 16, dtype=torch.int64)}
    with pytest.raises(LabelValueError, match=r'folder/0: .*one size'):
        scored([[sample]], 1)


def test_classes_come_from_the_data_set():
    metric = SCDMetric()
    with pytest.raises(ValueError, match='semantic_classes'):
        metric.process(None, [pair(0)])
