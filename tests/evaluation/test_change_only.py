"""Test scores of pairs without annotated land cover, alone and beside pairs with it."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from tfinet_mm.errors import LabelValueError, MissingLabelsError
from tfinet_mm.evaluation import (
    PairCounts,
    SCDConfusion,
    format_table,
    overall_scores,
    score_intervals,
    undefined_scores,
)
from tfinet_mm.structures import SECOND

HELPERS = runpy.run_path(str(Path(__file__).with_name('two_ranks.py')))
CHANGE = ('change/precision', 'change/recall', 'change/F1', 'change/IoU', 'change/OA')
COVER = ('gt_sem_seg_from', 'gt_sem_seg_to')


def pair(index, masked):
    """Return a data sample, whose annotation is a change mask alone if ``masked``."""
    sample = HELPERS['pair'](index)
    return {key: v for key, v in sample.items() if not (masked and key in COVER)}


def scored(samples, tmp_path, **options):
    metric = HELPERS['new_metric'](out_file=str(tmp_path / 'scores.json'), **options)
    for sample in samples:
        metric.process(None, [sample])
    return metric.evaluate(len(samples)), json.loads((tmp_path / 'scores.json').read_text())


def by_hand(samples):
    """Return the scores of change, from the pixels of all pairs."""
    true, found = (
        np.concatenate([sample[name]['data'].ravel() for sample in samples]) == 1
        for name in ('gt_sem_seg', 'pred_sem_seg')
    )
    right, false, missed = (true & found).sum(), (~true & found).sum(), (true & ~found).sum()
    precision, recall = right / (right + false), right / (right + missed)
    return {
        'change/precision': 100 * precision,
        'change/recall': 100 * recall,
        'change/F1': 200 * precision * recall / (precision + recall),
        'change/IoU': 100 * right / (right + false + missed),
        'change/OA': 100 * (true == found).mean(),
    }


def test_masks_alone_give_the_scores_of_change(tmp_path, caplog):
    samples = [pair(index, masked=True) for index in range(4)]
    for sample in samples[:2]:  # a network of change alone
        del sample['pred_sem_seg_from'], sample['pred_sem_seg_to']
    scores, report = scored(samples, tmp_path, per_class=True)
    assert scores == pytest.approx(by_hand(samples))
    assert report['scores'] == scores
    assert (report['num_samples'], report['land_cover_samples']) == (4, 0)
    assert report['note'].startswith('Only change is scored: no pair has annotated land cover')
    assert set(report['intervals']['scores']) == set(CHANGE)
    assert report['per_class'] == report['intervals']['per_class'] == {}
    assert set(report['confusion']) == {'change'}


def test_pairs_with_land_cover_are_scored_as_if_alone(tmp_path):
    covered = [pair(index, masked=False) for index in (0, 2, 5)]
    mixed = [covered[0], pair(1, True), covered[1], pair(3, True), pair(4, True), covered[2]]
    expected, alone = scored(covered, tmp_path)
    scores, report = scored(mixed, tmp_path)
    assert list(scores) == list(expected)
    for name, score in scores.items():
        assert score == pytest.approx(by_hand(mixed)[name] if name in CHANGE else expected[name])
    assert (report['num_samples'], report['land_cover_samples']) == (6, 3)
    assert report['note'].startswith('3 of 6 pairs have annotated land cover')
    assert alone['note'] is None
    # Intervals of land cover are drawn from its pairs, as if there were no others.
    for name, bounds in report['intervals']['scores'].items():
        assert (bounds == alone['intervals']['scores'][name]) == (name not in CHANGE)
    assert report['intervals']['per_class'] == alone['intervals']['per_class']
    assert report['confusion']['scd'] == alone['confusion']['scd']


def test_one_pair_with_land_cover_has_scores_without_intervals(tmp_path):
    samples = [pair(0, False), pair(1, True), pair(2, True)]
    scores, report = scored(samples, tmp_path)
    assert 'SeK' in scores
    assert set(report['intervals']['scores']) == set(CHANGE)
    counts = [count(sample) for sample in samples]
    pairs = PairCounts(6)
    for one in counts:
        pairs.add(one)
    table = format_table(sum(counts[1:], counts[0]), SECOND, 3, score_intervals(pairs, SECOND))
    assert '1 of 3 pairs have annotated land cover' in table
    assert table.count('lower') == 1


def count(sample):
    names = (*HELPERS['GT'], *HELPERS['PRED'])
    maps = [sample[name]['data'] if name in sample else None for name in names]
    return SCDConfusion.from_maps(*maps, 6)


def test_the_table_says_why_scores_are_missing():
    counts = count(pair(0, True))
    lines = format_table(counts, SECOND, 1).splitlines()
    assert lines[1].startswith('Only change is scored: no pair has annotated land cover')
    assert set(overall_scores(counts)) == set(CHANGE)
    assert 'SeK ' not in '\n'.join(lines)
    empty = SCDConfusion.from_maps(np.full(3, 255), None, None, np.ones(3, int), None, None, 6)
    assert set(undefined_scores(empty)) == set(CHANGE)


def test_the_land_cover_of_one_date_is_refused():
    sample = pair(0, False)
    del sample['gt_sem_seg_to']
    with pytest.raises(MissingLabelsError, match="lacks 'gt_sem_seg_to'"):
        HELPERS['new_metric']().process(None, [sample])
    with pytest.raises(LabelValueError, match='land cover of one date is missing'):
        count(sample)
