"""Test the counts against loops over pixels."""

import warnings

import numpy as np
import pytest
import torch

from tfinet_mm.errors import LabelValueError
from tfinet_mm.evaluation import (
    SCDConfusion,
    confusion_matrix,
    from_to_confusion,
    from_to_scores,
    scd_confusion,
    scd_scores,
)


def random_maps(seed, num_classes=3, shape=(17, 23)):
    """Return annotations and predictions of both dates, with the same unchanged pixels."""
    rng = np.random.default_rng(seed)
    maps = []
    for _ in range(2):
        changed = rng.random(shape) < 0.5
        maps += [np.where(changed, rng.integers(1, num_classes + 1, shape), 0) for _ in range(2)]
    for annotation in maps[:2]:
        annotation[rng.random(shape) < 0.1] = 255
    return maps


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.int64])
@pytest.mark.parametrize('tensors', [False, True])
def test_confusion_matrix_against_loop(dtype, tensors):
    annotation, _, prediction, _ = random_maps(0)
    expected = np.zeros((4, 4), int)
    for a, p in zip(annotation.flat, prediction.flat, strict=True):
        if a != 255:
            expected[a, p] += 1
    wrap = (lambda m: torch.from_numpy(m.astype(dtype))) if tensors else lambda m: m.astype(dtype)
    counts = confusion_matrix(wrap(annotation), wrap(prediction), 4)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected)


def test_what_is_predicted_on_ignored_pixels_does_not_matter():
    counts = confusion_matrix(np.array([255, 0]), np.array([200, 1]), 2)
    assert counts.tolist() == [[0, 1], [0, 0]]


def test_no_pixels():
    empty = np.zeros((0, 4), np.uint8)
    assert confusion_matrix(empty, empty, 3).tolist() == [[0] * 3] * 3


def test_read_only_and_flipped_arrays_without_warning():
    annotation = np.array([[0, 1], [1, 1]], np.uint8)[:, ::-1]
    annotation.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert confusion_matrix(annotation, annotation, 2).tolist() == [[1, 0], [0, 3]]


@pytest.mark.parametrize(
    ('annotation', 'prediction', 'message'),
    [
        ([0, 3], [0, 0], 'annotation holds 3, expected 0..2 or 255'),
        ([0, -1], [0, 0], 'annotation holds -1'),
        ([0, 2], [0, 7], 'prediction holds 7, expected 0..2;'),
        ([0, 2], [255, 0], 'prediction holds 255'),
        ([0, 2, 1], [0, 2], 'one size'),
        ([0, 1], [0.2, 0.9], 'must hold integers'),
    ],
)
def test_wrong_maps_are_named(annotation, prediction, message):
    with pytest.raises(LabelValueError, match=message):
        confusion_matrix(np.array(annotation), np.array(prediction), 3)


def test_scd_confusion_sums_both_dates():
    maps = random_maps(1)
    expected = np.zeros((4, 4), int)
    for annotation, prediction in ((maps[0], maps[2]), (maps[1], maps[3])):
        for a, p in zip(annotation.flat, prediction.flat, strict=True):
            if a != 255:
                expected[a, p] += 1
    np.testing.assert_array_equal(scd_confusion(*maps, num_classes=3), expected)


@pytest.mark.parametrize('num_classes', [1, 3, 17])
def test_from_to_confusion_against_loop(num_classes):
    maps = [m.astype(np.uint8) for m in random_maps(2, num_classes)]
    if num_classes == 17:  # 15 -> 17 is transition number 255, which is not the 255 of a label
        for one, value in zip(maps, (15, 17, 15, 17), strict=True):
            one[0, 0] = value
    expected = np.zeros((num_classes**2 + 1,) * 2, int)

    def code(before, after):
        return (int(before) - 1) * num_classes + int(after) if before and after else 0

    for a1, a2, p1, p2 in zip(*(m.flat for m in maps), strict=True):
        if 255 not in (a1, a2):
            expected[code(a1, a2), code(p1, p2)] += 1
    assert num_classes != 17 or expected[255, 255] == 1
    np.testing.assert_array_equal(from_to_confusion(*maps, num_classes), expected)


def test_from_to_leaves_out_contradicting_annotations():
    counts = from_to_confusion(*(np.array(m) for m in ([0, 1], [2, 1], [1, 1], [2, 1])), 2)
    assert counts.sum() == 1
    assert counts[1, 1] == 1


def test_from_to_predicted_unchanged_on_one_date_is_unchanged():
    counts = from_to_confusion(*(np.array(m) for m in ([2], [1], [2], [0])), 2)
    assert counts[3, 0] == 1


def test_from_to_does_not_take_a_wrong_class_for_another_transition():
    # (1 - 1) * 2 + 3 is the number of the transition 2 -> 1.
    with pytest.raises(LabelValueError, match='prediction holds 3'):
        from_to_confusion(*(np.array(m) for m in ([1], [1], [1], [3])), 2)


def test_from_to_is_stricter():
    rng = np.random.default_rng(5)
    changed = rng.random((64, 64)) < 0.4
    before, after = (np.where(changed, rng.integers(1, 7, (64, 64)), 0) for _ in range(2))
    predicted = []
    for one in (before, after):
        wrong = (rng.random(one.shape) < 0.3) & changed
        predicted.append(np.where(wrong, rng.integers(1, 7, one.shape), one))
    over_dates = scd_scores(scd_confusion(before, after, *predicted, 6))['SeK']
    over_pairs = from_to_scores(from_to_confusion(before, after, *predicted, 6))['SeK_from_to']
    assert over_pairs < over_dates


def test_from_maps_by_hand():
    counts = SCDConfusion.from_maps(
        #                       kept  missed false  ignored  half known  wrong class
        change=torch.tensor([[1, 1, 0, 255, 1, 1]]),
        land_cover_from=torch.tensor([[0, 1, 1, 0, 0, 1]]),
        land_cover_to=torch.tensor([[1, 1, 0, 0, 255, 0]]),
        predicted_change=torch.tensor([[1, 0, 1, 1, 1, 1]]),
        predicted_from=torch.tensor([[1, 2, 2, 1, 1, 1]]),
        predicted_to=torch.tensor([[2, 1, 1, 1, 1, 1]]),
        num_classes=2,
    )
    assert counts.change.tolist() == [[0, 1], [1, 3]]
    # The missed pixel is predicted as class 2 -> 1, but that is masked to unchanged.
    assert counts.date_from.tolist() == [[0, 0, 1], [0, 2, 0], [1, 1, 0]]
    assert counts.date_to.tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert np.argwhere(counts.from_to).tolist() == [[0, 3], [2, 2], [3, 1], [4, 0]]
    assert counts.scd.sum() == counts.date_from.sum() + counts.date_to.sum() == 9


def test_from_maps_leaves_its_input_alone():
    maps = [torch.zeros(2, 2, dtype=torch.int64) for _ in range(6)]
    maps[4] += 1
    SCDConfusion.from_maps(*maps, 2)
    assert maps[4].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize('value', [2, 254])
def test_from_maps_finds_land_cover_out_of_range(value):
    maps = [torch.ones(2, 2, dtype=torch.uint8) for _ in range(6)]
    maps[1][0, 0] = value
    with pytest.raises(LabelValueError, match=f'annotated land cover holds {value}, expected 0..1'):
        SCDConfusion.from_maps(*maps, 2)


def test_sums_and_vectors():
    counts = SCDConfusion.from_maps(*(torch.ones(2, 3, dtype=torch.int64) for _ in range(6)), 2)
    twice = counts + counts
    assert twice.change.sum() == 12
    again = SCDConfusion.zeros(2).unflatten(twice.flatten())
    for name, matrix in twice.to_lists().items():
        assert getattr(again, name).tolist() == matrix
    assert len(twice.flatten()) == 4 + 9 + 9 + 25 + 1  # and the number of pairs of change alone
