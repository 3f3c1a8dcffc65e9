import random
from collections import Counter

import numpy as np
import pytest
from mmseg.datasets.transforms import RandomCrop, RandomFlip, Resize

from tfinet_mm.datasets.transforms import RandomCropWithChange, RandomFlipOrRotate
from tfinet_mm.datasets.transforms.geometry import compose

FIELDS = ['gt_seg_map', 'gt_seg_map_from', 'gt_seg_map_to']


def pair(height=5, width=7):
    """Every array holds the number of its pixel, so that what moved where can be told."""
    numbers = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    results = dict(img=np.repeat(numbers[..., None], 6, axis=2), seg_fields=list(FIELDS))
    results.update({key: numbers.copy() for key in FIELDS})
    shape = (height, width)
    results.update(img_shape=shape, ori_shape=shape, pad_shape=shape)
    results.update(flip=False, flip_direction=None, rotation=0, exchanged=False)
    return results


def only(index):
    return [float(i == index) for i in range(6)]


def rotate_slowly(array):
    """By 90 degrees counter-clockwise: the right column becomes the top row."""
    height, width = array.shape
    return np.array(
        [[array[row, width - 1 - column] for row in range(height)] for column in range(width)]
    )


@pytest.mark.parametrize('index', range(6))
def test_each_of_the_six(index):
    results = RandomFlipOrRotate(probs=only(index))(pair())
    numbers = pair()['gt_seg_map']
    expected, flip, rotation = [
        (numbers, None, 0),
        (np.fliplr(numbers), 'horizontal', 0),
        (np.flipud(numbers), 'vertical', 0),
        (rotate_slowly(numbers), None, 90),
        (rotate_slowly(rotate_slowly(numbers)), None, 180),
        (rotate_slowly(rotate_slowly(rotate_slowly(numbers))), None, 270),
    ][index]
    for key in FIELDS:
        assert np.array_equal(results[key], expected)
        assert results[key].flags.c_contiguous
    for band in range(6):
        assert np.array_equal(results['img'][..., band], expected)
    assert results['img_shape'] == results['pad_shape'] == expected.shape
    assert results['ori_shape'] == (5, 7)
    assert results['flip'] is (flip is not None)
    assert results['flip_direction'] == flip
    assert results['rotation'] == rotation


def test_each_comes_with_probability_one_sixth():
    random.seed(0)
    transform = RandomFlipOrRotate()
    counts = Counter(transform.choose() for _ in range(6000))
    assert set(counts) == set(range(6))
    assert all(abs(count - 1000) < 120 for count in counts.values())  # 4 standard deviations


@pytest.mark.parametrize('probs', [(1,), (0.5,) * 6, (2, -1, 0, 0, 0, 0)])
def test_bad_probabilities(probs):
    with pytest.raises(ValueError, match='six numbers'):
        RandomFlipOrRotate(probs)


def apply(array, flip, rotation):
    axes = {None: (), 'horizontal': (1,), 'vertical': (0,), 'diagonal': (0, 1)}[flip]
    return np.rot90(np.flip(array, axes), rotation // 90)


def test_metainfo_of_two_in_a_row_tells_what_both_did():
    array = np.arange(6).reshape(2, 3)
    flips, rotations = (None, 'horizontal', 'vertical', 'diagonal'), (0, 90, 180, 270)
    for flip in flips:
        for rotation in rotations:
            for then_flip in flips:
                for then_rotation in rotations:
                    both = apply(apply(array, flip, rotation), then_flip, then_rotation)
                    total = compose(flip, rotation, then_flip, then_rotation)
                    assert np.array_equal(apply(array, *total), both)


def test_metainfo_is_true_after_many_transforms():
    random.seed(3)
    results = pair()
    for _ in range(7):
        results = RandomFlipOrRotate()(results)
        undone = apply(pair()['gt_seg_map'], results['flip_direction'], results['rotation'])
        assert np.array_equal(results['gt_seg_map'], undone)


def test_crop():
    random.seed(1)
    seen = set()
    for _ in range(200):
        results = RandomCropWithChange((3, 4))(pair())
        top, bottom, left, right = results['crop_bbox']
        seen.add((top, left))
        expected = pair()['gt_seg_map'][top:bottom, left:right]
        assert expected.shape == (3, 4) == results['img_shape'] == results['pad_shape']
        for key in FIELDS:
            assert np.array_equal(results[key], expected)
        assert np.array_equal(results['img'][..., 5], expected)
    assert seen == {(top, left) for top in range(3) for left in range(4)}


def test_a_smaller_image_is_kept_if_wanted():
    results = RandomCropWithChange((3, 100), keep_smaller=True)(pair())
    assert results['img_shape'] == (3, 7)
    assert RandomCropWithChange(100, keep_smaller=True)(pair())['crop_bbox'] == (0, 5, 0, 7)


@pytest.mark.parametrize('size', [(3, 100), (100, 3), 8])
def test_a_smaller_image_is_refused(size):
    with pytest.raises(ValueError, match=r'crop of .* larger than the image .*5 x 7'):
        RandomCropWithChange(size)(pair())


def with_change(values):
    results = pair(*values.shape)
    results['gt_seg_map'] = values
    return results


def test_crop_with_some_change_in_it():
    random.seed(0)
    change = np.zeros((20, 20), np.uint8)
    change[15:, 15:] = 1
    change[:10] = 255  # ignored pixels are neither changed nor unchanged
    crop = RandomCropWithChange(6, min_change=0.2, tries=400)
    for _ in range(10):
        cropped = crop(with_change(change))['gt_seg_map']
        assert (cropped == 1).sum() / (cropped != 255).sum() >= 0.2


def test_crop_takes_the_most_change_it_saw_where_none_has_enough():
    random.seed(0)
    change = np.zeros((10, 10), np.uint8)
    change[0, 0] = 1
    boxes = Counter(
        RandomCropWithChange(9, min_change=1.0, tries=60)(with_change(change))['crop_bbox']
        for _ in range(10)
    )
    assert boxes == {(0, 9, 0, 9): 10}
    everything_ignored = with_change(np.full((10, 10), 255, np.uint8))
    assert RandomCropWithChange(9, min_change=0.5)(everything_ignored)['img_shape'] == (9, 9)


def test_crop_with_change_needs_labels_and_good_options():
    results = pair()
    del results['gt_seg_map']
    with pytest.raises(KeyError, match='LoadPairAnnotations'):
        RandomCropWithChange(3, min_change=0.1)(results)
    for options in (dict(crop_size=0), dict(crop_size=3, min_change=2), dict(crop_size=3, tries=0)):
        with pytest.raises(ValueError, match=r'crop_size|min_change'):
            RandomCropWithChange(**options)


def test_transforms_of_mmseg_treat_image_and_all_maps_alike():
    flipped = RandomFlip(prob=1.0, direction='vertical')(pair())
    cropped = RandomCrop(crop_size=(4, 4))(pair())
    resized = Resize(scale=(14, 10), keep_ratio=False, interpolation='nearest')(pair())
    for results, shape in ((flipped, (5, 7)), (cropped, (4, 4)), (resized, (10, 14))):
        assert results['img'].shape == (*shape, 6)
        for key in FIELDS:
            assert np.array_equal(results[key], results['img'][..., 0])
    assert flipped['flip_direction'] == 'vertical'
    again = RandomFlipOrRotate(probs=only(2))(flipped)
    assert again['flip'] is False
    assert np.array_equal(again['gt_seg_map'], pair()['gt_seg_map'])
