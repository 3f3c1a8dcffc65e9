"""Test scores against worked numbers and against slow loops over pixels."""

import doctest
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tfinet_mm.errors import ConfusionMatrixError
from tfinet_mm.evaluation import (
    binary_scores,
    class_scores,
    from_to_scores,
    from_to_shares,
    scd_scores,
)

WORKED = [[50, 3, 2], [4, 20, 1], [1, 2, 17]]


def slow_scores(counts):
    """Compute each score by its definition from a list of (annotation, prediction) of pixels."""
    pixels = [
        (a, p) for a in range(len(counts)) for p in range(len(counts)) for _ in range(counts[a][p])
    ]

    def share(numerator, denominator):
        return numerator / denominator if denominator else 0.0

    def number(condition):
        return sum(1 for a, p in pixels if condition(a, p))

    right = number(lambda a, p: a == p)
    iou = [
        share(number(lambda a, p: a == 0 and p == 0), number(lambda a, p: a == 0 or p == 0)),
        share(number(lambda a, p: a > 0 and p > 0), number(lambda a, p: a > 0 or p > 0)),
    ]
    touched = [(a, p) for a, p in pixels if (a, p) != (0, 0)]
    kappa = 0.0
    if touched:
        observed = sum(a == p for a, p in touched) / len(touched)
        expected = (
            sum(
                sum(a == c for a, _ in touched) * sum(p == c for _, p in touched)
                for c in range(len(counts))
            )
            / len(touched) ** 2
        )
        kappa = 0.0 if expected == 1 else (observed - expected) / (1 - expected)
    precision = share(number(lambda a, p: a == p > 0), number(lambda a, p: p > 0))
    recall = share(number(lambda a, p: a == p > 0), number(lambda a, p: a > 0))
    sek = kappa * math.exp(iou[1] - 1)
    return {
        'OA': 100 * share(right, len(pixels)),
        'IoU_unchanged': 100 * iou[0],
        'IoU_changed': 100 * iou[1],
        'mIoU': 50 * sum(iou),
        'Kappa': 100 * kappa,
        'SeK': 100 * sek,
        'Score': 15 * sum(iou) + 70 * sek,
        'Precision_scd': 100 * precision,
        'Recall_scd': 100 * recall,
        'Fscd': 100 * share(2 * precision * recall, precision + recall),
    }


def test_worked_case():
    scores = scd_scores(WORKED)
    assert list(scores) == [
        'OA',
        'IoU_unchanged',
        'IoU_changed',
        'mIoU',
        'Kappa',
        'SeK',
        'Score',
        'Precision_scd',
        'Recall_scd',
        'Fscd',
    ]
    expected = {
        'OA': 87,
        'IoU_unchanged': 50 / 60 * 100,
        'IoU_changed': 80,
        'mIoU': 81.6667,
        'Kappa': 55.17241379,
        'SeK': 45.17135,
        'Score': 56.1199,
        'Precision_scd': 3700 / 45,
        'Recall_scd': 3700 / 45,
        'Fscd': 82.2222,
    }
    assert scores == pytest.approx(expected, abs=1e-4)
    assert all(type(value) is float for value in scores.values())


def test_precision_is_over_columns_and_recall_over_rows():
    # Annotated changed: 10 + 30 = 40 pixels; predicted changed: 20 + 30 = 50; right: 24.
    scores = scd_scores([[100, 4, 6], [0, 10, 0], [0, 6, 24]])
    assert scores['Precision_scd'] == pytest.approx(100 * 34 / 50)
    assert scores['Recall_scd'] == pytest.approx(100 * 34 / 40)
    assert scores['Fscd'] == pytest.approx(100 * 2 * 34 / 90)
    assert scores['IoU_changed'] == pytest.approx(100 * 40 / 50)
    assert scores['IoU_unchanged'] == pytest.approx(100 * 100 / 110)


@pytest.mark.parametrize('seed', range(12))
def test_against_slow_loop(seed):
    rng = np.random.default_rng(seed)
    side = int(rng.integers(2, 8))
    counts = rng.integers(0, 12, (side, side)) * (rng.random((side, side)) < 0.6)
    counts[0, 0] = rng.integers(0, 200)
    assert scd_scores(counts) == pytest.approx(slow_scores(counts.tolist()), abs=1e-9)


@pytest.mark.parametrize(
    ('counts', 'expected'),
    [
        # No pixels; no change annotated or predicted; all change missed; one class only.
        (np.zeros((3, 3), int), {}),
        ([[9, 0, 0], [0, 0, 0], [0, 0, 0]], {'OA': 100, 'IoU_unchanged': 100, 'mIoU': 50}),
        ([[0, 0], [5, 0]], {}),
        (
            [[0, 0], [0, 7]],
            {'OA': 100, 'IoU_changed': 100, 'mIoU': 50, 'Precision_scd': 100, 'Recall_scd': 100},
        ),
    ],
)
def test_undefined_scores_are_zero_without_warning(counts, expected):
    with warnings.catch_warnings(), np.errstate(all='raise'):
        warnings.simplefilter('error')
        scores = scd_scores(counts)
        class_scores(counts)
    for name, value in scores.items():
        if name in expected:
            assert value == expected[name], name
        elif not expected:
            assert value == 0, name
    assert scores['SeK'] == 0
    assert math.isfinite(scores['Score'])


def test_empty_binary_and_from_to():
    with np.errstate(all='raise'):
        assert set(binary_scores([[0, 0], [0, 0]]).values()) == {0.0}
        assert from_to_scores(np.zeros((37, 37), int)) == {'SeK_from_to': 0, 'Fscd_from_to': 0}
        assert from_to_shares(np.zeros((37, 37), int))['annotation'].max() == 0


def test_numbers_beyond_64_bit_products():
    big = np.array(WORKED) * 10**15
    assert scd_scores(big) == pytest.approx(scd_scores(WORKED), rel=1e-12)
    assert class_scores(big)['F1'] == pytest.approx(class_scores(WORKED)['F1'])


@pytest.mark.parametrize(
    'counts', [WORKED, np.array(WORKED, np.uint8), np.array(WORKED, float), torch.tensor(WORKED)]
)
def test_accepts_what_holds_whole_numbers(counts):
    assert scd_scores(counts)['OA'] == 87


@pytest.mark.parametrize(
    ('counts', 'message'),
    [
        (np.zeros((2, 3), int), r'square.*\(2, 3\)'),
        ([[4]], 'square.*2 or more'),
        (np.zeros((2, 3, 3), int), 'square'),
        ([[1, -2], [0, 0]], 'negative number -2'),
        ([[0.5, 0], [0, 0]], 'whole numbers'),
        ([[np.nan, 0], [0, 0]], 'whole numbers'),
    ],
)
def test_refuses_other_matrices(counts, message):
    with pytest.raises(ConfusionMatrixError, match=message):
        scd_scores(counts)


def test_from_to_follows_the_same_formulas():
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 5, (5, 5))
    slow = slow_scores(counts.tolist())
    scores = from_to_scores(counts)
    assert scores == pytest.approx({'SeK_from_to': slow['SeK'], 'Fscd_from_to': slow['Fscd']})


@pytest.mark.parametrize('side', [3, 7, 36, 38])
def test_from_to_refuses_a_matrix_of_another_kind(side):
    with pytest.raises(ConfusionMatrixError, match=f'got {side}'):
        from_to_scores(np.zeros((side, side), int))


def test_from_to_shares():
    counts = np.zeros((5, 5), int)
    counts[0, 0], counts[2, 2], counts[2, 3], counts[0, 3] = 50, 20, 10, 20
    shares = from_to_shares(counts)
    # Transition 2 is from class 1 to class 2, transition 3 from class 2 to class 1.
    np.testing.assert_allclose(shares['annotation'], [[0, 30], [0, 0]])
    np.testing.assert_allclose(shares['prediction'], [[0, 20], [30, 0]])


def test_class_scores():
    scores = class_scores(WORKED)
    np.testing.assert_allclose(scores['IoU'], [100 * 50 / 60, 100 * 20 / 30, 100 * 17 / 23])
    np.testing.assert_allclose(scores['F1'], [100 * 100 / 110, 80, 85])
    # A class that is neither annotated nor predicted.
    assert class_scores([[5, 0], [0, 0]])['IoU'].tolist() == [100, 0]


def test_binary_scores():
    scores = binary_scores([[60, 10], [5, 25]])
    assert scores == pytest.approx(
        {
            'precision': 2500 / 35,
            'recall': 2500 / 30,
            'F1': 5000 / 65,
            'IoU': 2500 / 40,
            'OA': 85,
        }
    )
    with pytest.raises(ConfusionMatrixError, match=r'matrix \(2, 2\)'):
        binary_scores(np.zeros((3, 3), int))


def test_examples_of_the_documentation():
    page = Path(__file__).parents[2] / 'docs' / 'metrics.md'
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert failed == 0
    assert tried > 5
