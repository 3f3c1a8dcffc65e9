"""Test the rules against loops over pixels."""

from collections import Counter

import numpy as np
import pytest

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.pseudo_labels import soft, vote
from tfinet_mm.pseudo_labels.rules import LEVELS, count_votes, level, quantised


def slow_vote(predictions_from, predictions_to, label_from, label_to):
    """Apply the published rule to one pixel and network at a time; 255 gets no label."""
    members, height, width = predictions_from.shape
    results = np.zeros((2, height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            for date, label in enumerate((label_from, label_to)):
                if label[y, x] == 255:
                    continue
                votes = Counter()
                for m in range(members):
                    a1, a2 = int(predictions_from[m, y, x]), int(predictions_to[m, y, x])
                    if label[y, x] != 0:
                        votes[int(label[y, x])] += 1
                    elif a1 == a2:
                        votes[a1 if date == 0 else a2] += 1
                    else:
                        votes[0] += 1
                most = max(votes.values())
                results[date, y, x] = min(c for c, number in votes.items() if number == most)
    return results


@pytest.mark.parametrize('members', [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize('seed', range(4))
def test_votes_are_those_of_the_slow_loop(members, seed):
    rng = np.random.default_rng(100 * members + seed)
    classes = int(rng.integers(1, 7))
    size = tuple(rng.integers(1, 14, 2))
    before = rng.integers(1, classes + 1, (members, *size))
    after = np.where(rng.random(before.shape) < 0.6, before, rng.integers(1, classes + 1, size))
    labels = rng.integers(0, classes + 1, (2, *size)) * (rng.random((2, *size)) < 0.4)
    labels[rng.random((2, *size)) < 0.1] = 255
    made = vote(before.astype(np.uint8), after, labels[0].astype(np.uint8), labels[1])
    np.testing.assert_array_equal(made, slow_vote(before, after, *labels))
    assert [one.dtype for one in made] == [np.uint8, np.uint8]


@pytest.mark.parametrize(
    ('before', 'after', 'winner'),
    [
        ([3, 3, 5], [3, 3, 5], 3),
        ([5, 3], [5, 3], 3),  # a tie of classes: the lowest
        ([5, 3], [5, 2], 0),  # a tie with "no label": no label
        ([5, 5, 3, 2], [5, 5, 2, 3], 0),
        ([6], [6], 6),
        ([6], [5], 0),
        ([6, 6, 6, 1, 1], [6, 6, 1, 1, 1], 1),  # 2 for 6, 2 for 1, 1 for none
    ],
)
def test_ties(before, after, winner):
    nothing = np.zeros((1, 1), np.uint8)
    made = vote(*(np.array(one)[:, None, None] for one in (before, after)), nothing, nothing)
    assert [one.item() for one in made] == [winner, winner]


def test_a_class_of_one_date_only_is_kept_and_the_other_date_filled():
    prediction = np.full((3, 1, 2), 4)
    made = vote(prediction, prediction, np.array([[2, 0]]), np.array([[0, 255]]))
    assert [one.tolist() for one in made] == [[[2, 4]], [[4, 0]]]


def test_votes_are_counted():
    before = np.array([[[1, 2]], [[1, 2]], [[2, 2]]], np.uint8)
    after = np.array([[[1, 2]], [[1, 1]], [[2, 1]]], np.uint8)
    winner, votes = count_votes(before, after)
    assert winner.tolist() == [[1, 0]]
    assert votes.tolist() == [[2, 2]]


def test_inputs_stay_as_they_are():
    rng = np.random.default_rng(0)
    arrays = [rng.integers(1, 5, (3, 4, 4)), rng.integers(1, 5, (3, 4, 4))]
    arrays += [rng.integers(0, 5, (4, 4)), rng.integers(0, 5, (4, 4))]
    copies = [one.copy() for one in arrays]
    vote(*arrays)
    for one, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(one, copy)


ONES = np.ones((2, 3, 4), np.uint8)
BLANK = np.zeros((3, 4), np.uint8)


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ((ONES, ONES[:1], BLANK, BLANK), LabelFormatError, r'got \(2, 3, 4\) and \(1, 3, 4\)'),
        ((ONES[0], ONES[0], BLANK, BLANK), LabelFormatError, r'of one shape \(M, H, W\)'),
        ((ONES[:0], ONES[:0], BLANK, BLANK), LabelFormatError, 'M >= 1 networks'),
        ((ONES, ONES, BLANK.T, BLANK), LabelFormatError, r'label_from is \(4, 3\)'),
        ((ONES, ONES, BLANK, BLANK[:2]), LabelFormatError, r'label_to is \(2, 4\)'),
        ((ONES / 2, ONES, BLANK, BLANK), LabelFormatError, 'whole numbers, got float64'),
        ((ONES, ONES, BLANK > 0, BLANK), LabelFormatError, 'label_from has to hold whole numbers'),
        ((ONES, ONES - 1, BLANK, BLANK), LabelValueError, 'predictions_to hold values from 0 to 0'),
        ((ONES * 255, ONES, BLANK, BLANK), LabelValueError, 'land cover 1 to 254'),
        ((ONES * 7, ONES, BLANK, BLANK, 6), LabelValueError, 'land cover 1 to 6'),
        ((ONES, ONES, BLANK + 7, BLANK, 6), LabelValueError, 'label_from holds values from 7 to 7'),
        ((ONES, ONES, BLANK, np.full((3, 4), -1)), LabelValueError, 'values from -1 to -1'),
    ],
)
def test_bad_maps_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        vote(*arguments)


def slow_soft(before, after, label_from, label_to, thresholds, change, most):
    members, classes, height, width = before.shape
    results = np.zeros((2, height, width), np.uint8)
    confidences = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            means = [
                sum(before[m, c, y, x] + after[m, c, y, x] for m in range(members)) / (2 * members)
                for c in range(classes)
            ]
            best = means.index(max(means))
            confidences[y, x] = means[best]
            doubtful = sum(change[m, y, x] for m in range(members)) / members > most
            for date, label in enumerate((label_from, label_to)):
                if label[y, x] == 0 and means[best] >= thresholds[best] and not doubtful:
                    results[date, y, x] = best + 1
                elif label[y, x] not in (0, 255):
                    results[date, y, x] = label[y, x]
    return results, confidences


@pytest.mark.parametrize('members', [1, 2, 3])
@pytest.mark.parametrize('seed', range(3))
def test_soft_labels_are_those_of_the_slow_loop(members, seed):
    rng = np.random.default_rng(10 * members + seed)
    classes, size = int(rng.integers(2, 7)), tuple(rng.integers(1, 12, 2))
    before, after = rng.dirichlet(np.full(classes, 0.3), (2, members, *size)).transpose(
        0, 1, 4, 2, 3
    )
    labels = rng.integers(0, classes + 1, (2, *size)) * (rng.random((2, *size)) < 0.4)
    labels[rng.random((2, *size)) < 0.1] = 255
    change = rng.random((members, *size))
    thresholds = rng.uniform(0.3, 0.8, classes)
    made = soft(before, after, *labels, thresholds, change, 0.6)
    expected, confidence = slow_soft(before, after, *labels, thresholds, change, 0.6)
    np.testing.assert_array_equal([made.label_from, made.label_to], expected)
    np.testing.assert_allclose(made.confidence, confidence, rtol=1e-6)
    assert made.label_from.dtype == np.uint8
    assert made.confidence.dtype == np.float32


def test_equal_probabilities_go_to_the_lowest_class():
    half = np.full((1, 2, 1, 1), 0.5)
    blank = np.zeros((1, 1), np.uint8)
    assert soft(half, half, blank, blank, 0.5).label_from.item() == 1
    assert soft(half, half, blank, blank, 0.501).label_from.item() == 0


def test_a_probability_at_the_threshold_is_kept():
    for probability in (0.9, 0.55, 0.75, 0.999, 0.9999, 1.0):
        pair = np.array([probability, 1 - probability]).reshape(1, 2, 1, 1)
        blank = np.zeros((1, 1), np.uint8)
        assert soft(pair, pair, blank, blank, probability).label_to.item() == 1


def test_the_change_counts_only_where_asked_for():
    sure = np.array([0.9, 0.1]).reshape(1, 2, 1, 1)
    blank, change = np.zeros((1, 1), np.uint8), np.full((1, 1, 1), 0.8)
    assert soft(sure, sure, blank, blank, 0.5, change).label_from.item() == 1
    assert soft(sure, sure, blank, blank, 0.5, change, 0.8).label_from.item() == 1
    assert soft(sure, sure, blank, blank, 0.5, change, 0.79).label_from.item() == 0


SURE = np.full((2, 3, 4, 5), 1 / 3)
EMPTY = np.zeros((4, 5), np.uint8)


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ((SURE, SURE[:1], EMPTY, EMPTY), LabelFormatError, r'one shape \(M, K, H, W\)'),
        ((SURE[0], SURE[0], EMPTY, EMPTY), LabelFormatError, r'of shape \(M, K, H, W\), got'),
        ((SURE > 0, SURE, EMPTY, EMPTY), LabelFormatError, 'have to be real numbers'),
        ((SURE + 3, SURE, EMPTY, EMPTY), LabelValueError, 'apply softmax'),
        ((SURE * np.nan, SURE, EMPTY, EMPTY), LabelValueError, 'have to be in 0..1'),
        ((SURE, SURE, EMPTY + 4, EMPTY), LabelValueError, 'classes 1 to 3'),
        ((SURE, SURE, EMPTY.T, EMPTY), LabelFormatError, r'label_from is \(5, 4\)'),
        ((SURE, SURE, EMPTY, EMPTY, [0.5, 0.6]), LabelValueError, 'each of 3 classes'),
        ((SURE, SURE, EMPTY, EMPTY, 1.5), LabelValueError, '0 to 1, got 1.5'),
        ((SURE, SURE, EMPTY, EMPTY, 0.5, None, 0.5), LabelFormatError, 'needs change_probabil'),
        ((SURE, SURE, EMPTY, EMPTY, 0.5, SURE[:, 0].T, 0.5), LabelFormatError, r'\(M, 4, 5\)'),
    ],
)
def test_bad_probabilities_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        soft(*arguments)


def test_shares_are_rounded_to_whole_levels():
    shares = np.array([0, 0.5 / LEVELS, 0.6 / LEVELS, 1, 1.0000001, -1e-9])
    assert quantised(shares).tolist() == [0, 0, 1, LEVELS, LEVELS, 0]
    assert [level(0.9), level(0.9999)] == [54000, 59994]
