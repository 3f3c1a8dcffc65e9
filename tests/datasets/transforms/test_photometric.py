import random

import cv2
import numpy as np
import pytest

from tfinet_mm.datasets.transforms import PairPhotoMetricDistortion
from tfinet_mm.errors import ImageFormatError


def image(height=16, width=18, channels=6):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(np.uint8)


class Drawn:
    """Stands in for the random module: gives what it is told, in order."""

    def __init__(self, coins, numbers):
        self.coins, self.numbers = iter(coins), iter(numbers)

    def random(self):
        return 0.0 if next(self.coins) else 0.9

    def uniform(self, low, high):
        number = next(self.numbers)
        assert low <= number <= high
        return number

    randint = uniform


def distorted(monkeypatch, coins, numbers, array, **options):
    drawn = Drawn(coins, numbers)
    monkeypatch.setattr('tfinet_mm.datasets.transforms.photometric.random', drawn)
    return PairPhotoMetricDistortion(**options).distort(array)


def slow_scale(array, factor=1.0, shift=0.0):
    return np.clip(
        array.astype(np.float32) * np.float32(factor) + np.float32(shift), 0, 255
    ).astype(np.uint8)


# Coins: brightness, contrast, contrast first, saturation, hue.
def test_brightness_then_contrast(monkeypatch):
    array = image(channels=3)
    result = distorted(monkeypatch, (1, 1, 1, 0, 0), (20.5, 1.3), array)
    expected = slow_scale(slow_scale(array, shift=20.5), factor=1.3)
    assert np.array_equal(result, expected)


def test_saturation_and_hue_then_contrast(monkeypatch):
    array = image(channels=3)
    result = distorted(monkeypatch, (0, 1, 0, 1, 1), (0.6, 1.4, -7), array)
    hsv = cv2.cvtColor(array, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) - 7) % 180
    hsv[..., 1] = slow_scale(hsv[..., 1], factor=1.4)
    expected = slow_scale(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), factor=0.6)
    assert np.array_equal(result, expected)


def test_nothing_drawn_changes_nothing(monkeypatch):
    array = image(channels=3)
    assert np.array_equal(distorted(monkeypatch, (0, 0, 0, 0, 0), (), array), array)


def test_colours_are_rgb(monkeypatch):
    # Pure red has hue 0; a turn by 60 of 180 makes pure green in RGB order, blue in BGR.
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 255
    result = distorted(monkeypatch, (0, 0, 0, 0, 1), (60,), red, hue_delta=60)
    assert result.tolist() == [[[0, 255, 0]]]


def test_dates_are_distorted_independently_and_the_input_is_left_alone():
    random.seed(0)
    same = np.concatenate([image(channels=3)] * 2, axis=2)
    copy = same.copy()
    differ = 0
    for _ in range(20):
        result = PairPhotoMetricDistortion()(dict(img=same))['img']
        assert result.shape == same.shape
        assert result.dtype == np.uint8
        differ += not np.array_equal(result[..., :3], result[..., 3:])
    assert differ >= 18
    assert np.array_equal(same, copy)


def test_probability_of_a_date():
    random.seed(0)
    assert np.array_equal(PairPhotoMetricDistortion(prob=0)(dict(img=image()))['img'], image())


@pytest.mark.parametrize('array', [image(channels=4), image().astype(np.float32)])
def test_other_images_are_refused(array):
    with pytest.raises(ImageFormatError, match='two 8 bit RGB images'):
        PairPhotoMetricDistortion()(dict(img=array))
