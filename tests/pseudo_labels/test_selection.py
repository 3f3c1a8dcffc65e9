import numpy as np
import pytest

from tfinet_mm.errors import LabelValueError
from tfinet_mm.pseudo_labels.rules import LEVELS, keep
from tfinet_mm.pseudo_labels.selection import (
    Selection,
    confidence_histogram,
    per_class,
    quota_levels,
)
from tfinet_mm.structures import LANDSAT_SCD


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        (None, [0.9, 0.9, 0.9, 0.9]),
        (0.5, [0.5, 0.5, 0.5, 0.5]),
        ([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ({'desert': 0.6, 'water': 0.2}, [0.9, 0.6, 0.9, 0.2]),
    ],
)
def test_one_number_for_each_class(values, expected):
    assert per_class(values, LANDSAT_SCD, 0.9, 'quota') == expected


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ([0.1, 0.2], r'quota needs one number for each of 4 classes'),
        ({'no change': 0.3}, r"\['no change'\], which the data set does not have; it has \['farm"),
    ],
)
def test_numbers_of_other_classes_are_refused(values, message):
    with pytest.raises(LabelValueError, match=message):
        per_class(values, LANDSAT_SCD, 0.9, 'quota')


@pytest.mark.parametrize(
    'options',
    [
        dict(threshold=1.1),
        dict(threshold=float('nan')),
        dict(class_thresholds=[0.5, -0.1, 0.5, 0.5]),
        dict(class_thresholds={'water': 2}),
        dict(quota=90),
        dict(max_change_prob=-1),
    ],
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(LabelValueError, match=f'{next(iter(options))} takes numbers from 0 to 1'):
        Selection(**options)


def test_histograms_count_each_class():
    rng = np.random.default_rng(0)
    cover = rng.integers(0, 5, (9, 7)).astype(np.uint8)
    confidence = rng.choice([0, 1, 40000, LEVELS], (9, 7)).astype(np.uint16)
    counts = confidence_histogram(cover, confidence, 4)
    assert counts.shape == (4, LEVELS + 1)
    assert counts.sum() == (cover > 0).sum()
    for label in range(1, 5):
        for value in (0, 1, 40000, LEVELS):
            number = sum(
                c == label and v == value
                for c, v in zip(cover.ravel(), confidence.ravel(), strict=True)
            )
            assert counts[label - 1, value] == number


@pytest.mark.parametrize('seed', range(5))
def test_quotas_keep_the_most_confident_share_and_no_more_than_its_ties(seed):
    rng = np.random.default_rng(seed)
    # Few levels, so that many pixels tie.
    cover = rng.integers(0, 5, (30, 30)).astype(np.uint8)
    confidence = rng.integers(100, 120, (30, 30)).astype(np.uint16)
    quotas = rng.random(4).round(2)
    levels = quota_levels(confidence_histogram(cover, confidence, 4), quotas)
    kept = keep(cover, confidence, levels)
    for label, quota in enumerate(quotas, start=1):
        sorted_down = sorted(confidence[cover == label].tolist(), reverse=True)
        number = int(np.ceil(round(quota * len(sorted_down), 9)))
        least = sorted_down[number - 1] if number else 1 << 20
        expected = (cover == label) & (confidence >= least)
        np.testing.assert_array_equal(kept == label, expected)


def test_a_quota_only_lowers_thresholds():
    histogram = np.zeros((4, LEVELS + 1), np.int64)
    histogram[0, [LEVELS, 55000]] = 99, 1  # sure: the quota is met above the threshold
    histogram[1, [25000, 20000]] = 1, 9  # never sure
    selection = Selection(threshold=0.5, quota={'farmland': 0.5, 'desert': 0.1, 'building': 0.5})
    # Classes 3 and 4 have no pixels at all.
    assert selection.levels(LANDSAT_SCD, histogram).tolist() == [30000, 25000, 30000, 30000]
    assert Selection(threshold=0.5).levels(LANDSAT_SCD).tolist() == [30000] * 4


def test_a_tenth_of_thirty_is_three():
    histogram = np.zeros((1, 100), np.int64)
    histogram[0, :30] = 1
    assert quota_levels(histogram, [0.1]).tolist() == [27]


def test_everything_is_said_for_the_report():
    selection = Selection(0.8, {'water': 0.6}, [0.1, 0, 0, 0.5], 0.3)
    assert selection.to_dict(LANDSAT_SCD) == dict(
        thresholds=[0.8, 0.8, 0.8, 0.6], quota=[0.1, 0.0, 0.0, 0.5], max_change_prob=0.3
    )
    assert Selection().to_dict(LANDSAT_SCD)['quota'] is None
