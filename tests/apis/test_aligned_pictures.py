"""Test that the second picture of a pair is moved onto the first."""

import cv2
import numpy as np
import pytest

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.aligned_pictures import align_pictures
from tfinet_mm.errors import ImageFormatError

SIDE, FINER, MARGIN = 160, 4, 12


def align(joined, name):
    """Align a pair of which all pixels are seen."""
    seen = np.ones(joined.shape[:2], bool)
    moved, valid = align_pictures(joined, (seen, seen), name)
    assert valid.all()
    return moved


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
    found = align(joined, 'a pair')
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
    assert align(same, 'same') is same
    flat = np.full((200, 200, 6), 7, np.uint8)
    assert align(flat, 'flat') is flat


def test_an_inferencer_aligns(member, cut):
    """It predicts the moved picture, and shows it."""
    before, after = cut(), cut(4, 0)
    files = member()
    result = SCDInferencer(*files, align=True)(before, after)
    moved = align(np.concatenate([before, after], axis=2), 'pair')[..., 3:]
    assert np.abs(moved.astype(int) - after).max() > 8
    np.testing.assert_array_equal(result.after, moved)
    expected = SCDInferencer(*files)(before, moved)
    np.testing.assert_array_equal(result.change_prob, expected.change_prob)


@pytest.mark.parametrize('right', [6, 6.5])
def test_the_mask_of_after_moves_with_it(member, cut, right):
    """Pixels under the mask reach no pixel that counts as seen."""
    before, after = cut(), cut(right)
    masks = np.zeros((2, *before.shape), bool)
    masks[0, 20:40, 10:30], masks[1, 60:90, 100:130] = True, True
    hidden = [np.ma.array(one, mask=mask) for one, mask in zip((before, after), masks, strict=True)]
    hidden[0].data[20:40, 10:30], hidden[1].data[60:90, 100:130] = 255, 0
    result = SCDInferencer(*member(), align=True)(*hidden)
    found = ~result.valid
    # The measured shift is a few hundredths of a pixel off.
    moved = np.zeros((SIDE, SIDE), np.uint8)
    moved[60:90, 94:124] = 1
    assert found[61:89, 94:123].all()
    assert not found[50:][cv2.dilate(moved, np.ones((3, 3)))[50:] == 0].any()
    expected = np.zeros((50, SIDE), bool)
    expected[20:40, 10:30] = True
    np.testing.assert_array_equal(found[:50], expected)
    difference = np.abs(result.after.astype(int) - before)[:, :-8]
    assert difference[result.valid[:, :-8]].max() <= 6


def test_nothing_is_moved_where_masks_leave_no_common_pixel(member, cut):
    hidden = [np.ma.array(cut()), np.ma.array(cut(4))]
    hidden[0][:80], hidden[1][80:] = np.ma.masked, np.ma.masked
    with pytest.raises(ImageFormatError, match='no pixel is seen on both dates'):
        SCDInferencer(*member(), align=True)(*hidden)
