"""Photometric distortion of each date on its own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from tfinet_mm.errors import ImageFormatError
from tfinet_mm.io.images import join_dates, split_dates
from tfinet_mm.registry import TRANSFORMS

LEVELS = np.arange(256, dtype=np.float32)


@TRANSFORMS.register_module()
class PairPhotoMetricDistortion(BaseTransform):
    """Change brightness, contrast, saturation and hue of each date independently.

    The steps and ranges are those of mmseg's ``PhotoMetricDistortion``: each
    with probability 0.5, the contrast before or after the colours. They are
    drawn for each date separately, since light and season differ between dates.
    Every step looks up its values in a table of 256 entries, to save time.

    Required and modified key: ``img`` (H, W, 6) uint8, RGB of both dates.

    Args:
        brightness_delta: Largest amount, 0..255, added or subtracted.
        contrast_range: Least and greatest factor of all values.
        saturation_range: Least and greatest factor of the saturation.
        hue_delta: Largest shift of the hue, where 180 is a whole turn.
        prob: Probability that a date is distorted at all.

    Raises:
        ImageFormatError: The pair isn't two 8 bit RGB images.
    """

    def __init__(
        self,
        brightness_delta: float = 32,
        contrast_range: Sequence[float] = (0.5, 1.5),
        saturation_range: Sequence[float] = (0.5, 1.5),
        hue_delta: int = 18,
        prob: float = 1.0,
    ) -> None:
        """See the class."""
        self.brightness_delta = brightness_delta
        self.contrast_range = tuple(contrast_range)
        self.saturation_range = tuple(saturation_range)
        self.hue_delta = hue_delta
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Distort both dates."""
        image = results['img']
        if image.dtype != np.uint8 or image.shape[2] != 6:
            raise ImageFormatError(
                f'{type(self).__name__} distorts the colours of two 8 bit RGB images, got '
                f'{image.shape[2]} channels of type {image.dtype}; leave it out of the pipeline'
            )
        dates = [
            self.distort(date) if random.random() < self.prob else date
            for date in split_dates(image)
        ]
        results['img'] = join_dates(*dates)
        return results

    def distort(self, image: np.ndarray) -> np.ndarray:
        """Distort one RGB image (H, W, 3) uint8."""
        levels = LEVELS
        if _coin():
            shift = random.uniform(-self.brightness_delta, self.brightness_delta)
            levels = _clipped(levels + shift)
        contrast = random.uniform(*self.contrast_range) if _coin() else None
        contrast_first = _coin()
        if contrast is not None and contrast_first:
            levels = _clipped(levels * contrast)
        if levels is not LEVELS:
            image = cv2.LUT(image, levels.astype(np.uint8))
        image = self._distort_colours(image)
        if contrast is not None and not contrast_first:
            image = cv2.LUT(image, _clipped(LEVELS * contrast).astype(np.uint8))
        return image

    def _distort_colours(self, image: np.ndarray) -> np.ndarray:
        saturation = random.uniform(*self.saturation_range) if _coin() else None
        turn = random.randint(-self.hue_delta, self.hue_delta) if _coin() else None
        if saturation is None and turn is None:
            return image
        lookup = np.repeat(LEVELS[:, None], 3, axis=1)
        if turn is not None:
            lookup[:, 0] = (LEVELS + turn) % 180  # OpenCV's 8 bit hue is in 0..179
        if saturation is not None:
            lookup[:, 1] = _clipped(LEVELS * saturation)
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv = cv2.LUT(hsv, lookup.astype(np.uint8)[None])
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)

    def __repr__(self) -> str:
        """Name and options."""
        return (
            f'{type(self).__name__}(brightness_delta={self.brightness_delta}, '
            f'contrast_range={self.contrast_range}, saturation_range={self.saturation_range}, '
            f'hue_delta={self.hue_delta}, prob={self.prob})'
        )


def _coin() -> bool:
    return random.random() < 0.5


def _clipped(values: np.ndarray) -> np.ndarray:
    # Truncated to whole numbers after every step, as an 8 bit image would be.
    return np.trunc(np.clip(values, 0, 255))
