"""Test that the second picture of a pair is moved onto the first."""

import cv2
import numpy as np
import pytest

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.aligned_pictures import align_pictures

SIDE, FINER, MARGIN = 160, 4, 12


@pytest.fixture
def cut():
    """Cut a picture from finer ground, further right and down by quarters of a pixel."""
    noise = np.random.default_rng(1).random((FINER * (SIDE + 2 * MARGIN),) * 2).astype(np.float32)
    ground = sum(
        one / one.std() for one in (cv2.GaussianBlur(noise, (0, 0), scale) for scale in (6, 20))
    )
    ground = 20 + 200 * (ground - ground.min()) / np.ptp(ground)

    def picture(right=0.0, down=0.0):
        left, top = (round(FINER * (MARGIN - move)) for move in (right, down))
        part = ground[top : top + FINER * SIDE, left : left + FINER * SIDE]
        values = part.reshape(SIDE, FINER, SIDE, FINER).mean((1, 3))
        return np.stack([values, 255 - values, values], axis=-1).round().astype(np.uint8)

    return picture


def test_moves_parts_of_a_pixel(cut, capsys):
    before, after = cut(), cut(2.5, -1.25)
    joined = np.concatenate([before, after], axis=2)
    found = align_pictures(joined, 'a pair')
    assert (found.shape, found.dtype) == (joined.shape, joined.dtype)
    printed = capsys.readouterr().out
    assert 'a pair: after lies 2.5' in printed
    assert ' px right and 1.2' in printed
    inside = (slice(4, -4), slice(4, -4))
    np.testing.assert_array_equal(found[..., :3], joined[..., :3])
    off = []
    for one in (joined, found):
        first, second = np.split(one[inside].astype(int), 2, axis=2)
        off.append(np.abs(first - second))
    assert off[0].mean() > 8
    assert off[1].mean() < 1
    assert off[1].max() <= 6


def test_leaves_what_is_in_place_or_has_no_texture(cut):
    same = np.concatenate([cut(), cut()], axis=2)
    assert align_pictures(same, 'same') is same
    flat = np.full((200, 200, 6), 7, np.uint8)
    assert align_pictures(flat, 'flat') is flat


def test_an_inferencer_aligns(member, cut):
    """It predicts the moved picture, and shows it."""
    before, after = cut(), cut(4, 0)
    files = member()
    result = SCDInferencer(*files, align=True)(before, after)
    moved = align_pictures(np.concatenate([before, after], axis=2), 'pair')[..., 3:]
    assert np.abs(moved.astype(int) - after).max() > 8
    np.testing.assert_array_equal(result.after, moved)
    expected = SCDInferencer(*files)(before, moved)
    np.testing.assert_array_equal(result.change_prob, expected.change_prob)
