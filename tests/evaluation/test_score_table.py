"""Test the printed table and the JSON report."""

import json

import numpy as np
import pytest

from tfinet_mm.errors import ClassMismatchError
from tfinet_mm.evaluation import (
    PairCounts,
    SCDConfusion,
    ScoreIntervals,
    format_table,
    overall_scores,
    per_class_scores,
    scd_scores,
    score_intervals,
    scores_report,
)
from tfinet_mm.structures import SECOND, ClassTable

TABLE = ClassTable(('unchanged', 'water', 'built up'), ((0, 0, 0), (0, 0, 255), (255, 0, 0)))


@pytest.fixture
def counts():
    date_from = np.array([[50, 3, 0], [4, 20, 0], [0, 0, 0]])
    date_to = np.array([[50, 0, 3], [1, 0, 0], [3, 0, 20]])
    from_to = np.zeros((5, 5), int)
    from_to[0, 0], from_to[0, 2], from_to[2, 0], from_to[2, 2] = 50, 3, 4, 20
    return SCDConfusion(np.array([[50, 3], [4, 20]]), date_from, date_to, from_to)


def test_overall_scores(counts):
    scores = overall_scores(counts)
    assert scores['OA'] == pytest.approx(100 * 140 / 154)
    assert scores['change/precision'] == pytest.approx(100 * 20 / 23)
    assert scores['change/recall'] == pytest.approx(100 * 20 / 24)
    assert scores['change/F1'] == pytest.approx(100 * 40 / 47)
    assert scores['Fscd_from_to'] == pytest.approx(100 * 40 / 47)
    assert scores['change/IoU'] == pytest.approx(100 * 20 / 27)
    assert scores['change/OA'] == pytest.approx(100 * 70 / 77)
    assert len(scores) == 17
    assert all(type(value) is float for value in scores.values())


@pytest.mark.parametrize('date', ['from', 'to'])
def test_land_cover_of_one_date_is_scored_on_that_date(date):
    change = np.array([0, 0, 1, 1, 1, 0])
    unknown, cover = np.full(6, 255), np.array([255, 255, 0, 1, 1, 255])
    predicted = np.array([0, 1, 1, 1, 0, 0]), np.array([0, 2, 1, 1, 2, 0])
    covers = (cover, unknown) if date == 'from' else (unknown, cover)
    counts = SCDConfusion.from_maps(change, *covers, predicted[0], *[predicted[1]] * 2, 2)
    # Rows unchanged, water, built up: one of 3 unchanged pixels is predicted as built up, water
    # is right, and of two pixels of built up one is called water and one unchanged.
    expected = scd_scores([[2, 0, 1], [0, 1, 0], [1, 1, 0]])
    scores = overall_scores(counts)
    assert {name: scores[name] for name in expected} == expected
    assert 'SeK_from_to' not in scores
    assert scores['change/OA'] == pytest.approx(100 * 4 / 6)
    assert list(per_class_scores(counts, TABLE)) == [date]
    report, text = scores_report(counts, TABLE, 1), format_table(counts, TABLE, 1)
    moment = {'from': 'before', 'to': 'after'}[date]
    assert report['note'].startswith(f'Land cover is annotated {moment} the change only')
    assert report['note'] in text
    assert 'SeK_from_to' not in text
    assert 'transition' not in text
    (row,) = (line.split() for line in text.splitlines() if line.startswith('water'))
    assert [cell == '-' for cell in row[1:]] == [date == 'to', date == 'from'] * 2


def test_per_class_scores(counts):
    scores = per_class_scores(counts, TABLE)
    assert scores['from']['water']['IoU'] == pytest.approx(100 * 20 / 27)
    assert scores['to']['built up']['F1'] == pytest.approx(100 * 40 / 46)
    assert scores['from']['built up'] == {'IoU': 0, 'F1': 0}


def test_table_lines_up_and_shows_what_is_absent(counts):
    text = format_table(counts, TABLE, 1)
    blocks = [block.splitlines() for block in text.split('\n\n')]
    assert blocks[0] == ['Scores over 1 pair, in percent']
    names, values = (line.split() for line in blocks[1])
    shown = dict(zip(names, values, strict=True))
    assert shown['OA'] == '90.91'
    classes = blocks[5]
    assert len({len(line) for line in classes}) == 1
    assert classes[2].split() == ['water', '74.07', '0.00', '85.11', '0.00']
    assert classes[3].split() == ['built', 'up', '-', '76.92', '-', '86.96']
    assert blocks[6][0].startswith('Area of each transition')
    assert blocks[6][2].split() == ['water', '-', '31.17/29.87']
    assert blocks[6][3].split() == ['built', 'up', '-', '-']


def test_every_overall_score_is_in_the_table(counts):
    words = format_table(counts, TABLE, 2).split()
    assert set(overall_scores(counts)) <= set(words)


def test_report_is_json(counts):
    report = json.loads(json.dumps(scores_report(counts, TABLE, 7)))
    assert report['num_samples'] == 7
    assert report['classes'] == ['unchanged', 'water', 'built up']
    assert report['scores'] == overall_scores(counts)
    assert report['change']['IoU'] == pytest.approx(100 * 20 / 27)
    assert report['confusion']['scd'] == (counts.date_from + counts.date_to).tolist()
    assert report['confusion']['from_to'][2] == [4, 0, 20, 0, 0]
    assert report['from_to_classes'] == [
        'unchanged',
        'water -> water',
        'water -> built up',
        'built up -> water',
        'built up -> built up',
    ]


def test_intervals_stand_below_and_beside_the_scores(counts):
    bounds = {}
    for number, name in enumerate(overall_scores(counts)):
        bounds[f'scores\0{name}'] = (number + 0.25, number + 50.5)
    for date in ('from', 'to'):
        for name in TABLE.names:
            bounds |= {f'{date}\0{name}\0{score}': (1.0, 2.0) for score in ('IoU', 'F1')}
    bounds['from\0water\0F1'] = (80.0, 90.125)
    bounds |= {f'change\0{name}': (3.0, 4.0) for name in ('F1', 'IoU')}
    intervals = ScoreIntervals(bounds, pairs=7, resamples=20)
    blocks = [b.splitlines() for b in format_table(counts, TABLE, 7, intervals).split('\n\n')]
    assert blocks[0] == [
        'Scores over 7 pairs, in percent, with 95 % confidence intervals (20 draws of pairs)'
    ]
    index = blocks[1][0].split().index('SeK')
    assert blocks[1][2].split()[1:][index] == '5.25'
    assert blocks[1][3].split()[1:][index] == '55.50'
    assert '85.11 [80.00, 90.12]' in blocks[5][2]
    report = json.loads(json.dumps(scores_report(counts, TABLE, 7, intervals)))['intervals']
    assert report['scores']['SeK'] == [5.25, 55.5]
    assert report['per_class']['from']['water']['F1'] == [80, 90.125]
    assert report['change'] == {'F1': [3, 4], 'IoU': [3, 4]}
    assert report['method'] == 'percentile bootstrap over pairs'
    assert scores_report(counts, TABLE, 7)['intervals'] is None


def test_classes_of_another_data_set(counts):
    with pytest.raises(ClassMismatchError, match=r'3 classes, the class table has 7'):
        format_table(counts, SECOND, 1)


def test_intervals_of_one_date_where_draws_lack_its_classes():
    unknown, none = np.full(4, 255), np.zeros(4, int)
    cover, change = np.array([255, 0, 1, 1]), np.array([0, 1, 1, 1])
    pairs = PairCounts(2)
    pairs.add(SCDConfusion.from_maps(change, unknown, cover, change, *[change] * 2, 2))
    pairs.add(SCDConfusion.from_maps(none, unknown, unknown, none, none, none, 2))
    intervals = score_intervals(pairs, TABLE, resamples=50)
    assert 'scores\0SeK' in intervals.bounds
    assert not [name for name in intervals.bounds if 'from_to' in name or name.startswith('from')]
