import json

import numpy as np
import pytest

from tfinet_mm.pseudo_labels.counts import Counts
from tfinet_mm.pseudo_labels.report import format_report, make_report
from tfinet_mm.pseudo_labels.rules import LEVELS
from tfinet_mm.structures import ClassTable

TABLE = ClassTable(('none', 'grass', 'house'), ((255, 255, 255), (0, 99, 0), (99, 0, 0)))


@pytest.fixture
def counts():
    counts = Counts.zeros(2, 2)
    counts.pairs += 1
    counts.pixels += 200
    counts.ignored += 10
    counts.annotated += [30, 10]
    counts.unlabelled += 150
    counts.assigned += [120, 24]
    counts.filled += [90, 6]
    counts.unchanged += 80
    counts.unanimous += 120
    counts.pairwise += [[160, 120], [120, 160]]
    counts.steady += [60, 40]
    counts.truth += [[40, 80, 2], [14, 10, 4]]
    return counts


def test_worked_numbers(counts):
    levels = np.array([LEVELS * 9 // 10, LEVELS // 2])
    report = make_report(counts, TABLE, 'soft', ['a', 'b'], levels, dict(quota=None))
    json.dumps(report)
    assert report['method'] == 'soft'
    assert report['options'] == {'quota': None}
    assert report['pixels'] == dict(total=200, annotated=40, ignored=10, unlabelled=150, filled=96)
    assert report['filled'] == 64.0
    assert report['classes']['grass'] == dict(
        annotated=75.0, assigned=80.0, filled=60.0, kept=75.0, threshold=0.9, pixels=90
    )
    assert report['classes']['house'] == dict(
        annotated=25.0, assigned=16.0, filled=4.0, kept=25.0, threshold=0.5, pixels=6
    )
    assert report['agreement'] == dict(
        all=75.0, pairwise=[[100.0, 75.0], [75.0, 100.0]], same_on_both_dates=[75.0, 50.0]
    )
    accuracy = report['accuracy']
    assert accuracy['pixels'] == 150
    assert accuracy['filled'] == 64.0
    assert accuracy['correct'] == 87.5
    assert accuracy['classes']['grass'] == dict(precision=pytest.approx(80 / 0.9), recall=80 / 1.22)
    assert accuracy['classes']['house']['precision'] == pytest.approx(400 / 6)
    assert accuracy['classes']['house']['recall'] == pytest.approx(400 / 28)
    assert accuracy['confusion'] == [[40, 80, 2], [14, 10, 4]]


def test_the_table_reads_well(counts):
    text = format_report(make_report(counts, TABLE, 'vote', ['a', 'b']))
    assert text.splitlines() == [
        'Pseudo labels of 1 pair by vote of 2: a, b',
        '64.00 % of the unchanged pixels without a class got one (96 of 150)',
        '75.00 % of the unchanged pixels have one class for all members',
        '75.00, 50.00 % of them have one class on both dates, by member',
        '87.50 % of the pseudo labels are right, of 150 pixels whose land cover is known',
        '',
        'class, %  annotated  assigned  filled   kept  precision  recall',
        'grass         75.00     80.00   60.00  75.00      88.89   65.57',
        'house         25.00     16.00    4.00  25.00      66.67   14.29',
    ]


def test_nothing_to_divide_by():
    """One member, nothing unchanged, nothing known: no share of nothing."""
    report = make_report(Counts.zeros(2, 1), TABLE, 'soft', ['a'], np.array([LEVELS, 0]))
    assert report['filled'] is None
    assert report['agreement'] == dict(all=None, pairwise=[[None]], same_on_both_dates=[None])
    assert report['accuracy'] is None
    assert report['classes']['house'] == dict(
        annotated=None, assigned=None, filled=None, kept=None, threshold=0.0, pixels=0
    )
    assert format_report(report).splitlines()[-1].split() == ['house', *'----', '0.0000']
