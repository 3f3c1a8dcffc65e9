"""Flips, rotations and crops of a pair and all its label maps."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from tfinet_mm.registry import TRANSFORMS
from tfinet_mm.structures import IGNORE_INDEX, SEG_CHANGE

Box = tuple[int, int, int, int]
"""Rows and columns of a crop, (y1, y2, x1, x2)."""

# Flips as bits: horizontal 1, vertical 2, diagonal (both) 3; applying two is an exclusive or.
FLIPS = (None, 'horizontal', 'vertical', 'diagonal')


def compose(
    flip: str | None, rotation: int, then_flip: str | None, then_rotation: int
) -> tuple[str | None, int]:
    """Return the flip and the rotation that equal two flips and rotations in a row.

    Args:
        flip: First flip: None, 'horizontal', 'vertical' or 'diagonal'.
        rotation: First rotation, in degrees counter-clockwise, a multiple of 90.
        then_flip: Second flip, applied after the first rotation.
        then_rotation: Second rotation.

    Returns:
        Flip and rotation (0, 90, 180 or 270).

    Example:
        >>> compose('horizontal', 90, 'horizontal', 0)
        (None, 270)
        >>> compose(None, 90, None, 180)
        (None, 270)
    """
    # Mirror after rotation by r = rotation by -r after mirror; two mirrors are half a turn.
    mirrored = then_flip in ('horizontal', 'vertical')
    combined = FLIPS[FLIPS.index(flip) ^ FLIPS.index(then_flip)]
    return combined, (then_rotation + (-rotation if mirrored else rotation)) % 360


@TRANSFORMS.register_module()
class RandomFlipOrRotate(BaseTransform):
    """Do one of: nothing, flip horizontally, flip vertically, rotate by 90, 180 or 270 degrees.

    By default each has probability 1/6, as in the published TFINet and
    SenseEarth. Images and label maps are changed in the same way.

    Required keys: ``img``, and the maps listed in ``seg_fields``.

    Modified keys: these, ``img_shape``, ``pad_shape``, ``flip``,
    ``flip_direction`` and ``rotation`` (degrees counter-clockwise, after the
    flip), which describe all flips and rotations so far together.

    Args:
        probs: Probabilities of the six, in the order above; they sum to 1.

    Raises:
        ValueError: ``probs`` are not six probabilities.
    """

    CHOICES = (
        (None, 0),
        ('horizontal', 0),
        ('vertical', 0),
        (None, 90),
        (None, 180),
        (None, 270),
    )

    def __init__(self, probs: Sequence[float] = (1 / 6,) * 6) -> None:
        """See the class."""
        self.probs = tuple(float(prob) for prob in probs)
        if len(self.probs) != 6 or min(self.probs) < 0 or abs(sum(self.probs) - 1) > 1e-6:
            raise ValueError(f'probs have to be six numbers of 0 to 1 that sum to 1, got {probs}')

    @cache_randomness
    def choose(self) -> int:
        """Draw one of the six."""
        return random.choices(range(6), weights=self.probs)[0]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Flip or rotate the pair."""
        flip, rotation = self.CHOICES[self.choose()]
        if flip is None and rotation == 0:
            return results
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = _apply(results[key], flip, rotation)
        shape = results['img'].shape[:2]
        results['img_shape'] = results['pad_shape'] = shape
        before = results.get('flip_direction') if results.get('flip') else None
        total, turned = compose(before, results.get('rotation', 0), flip, rotation)
        results.update(flip=total is not None, flip_direction=total, rotation=turned)
        return results

    def __repr__(self) -> str:
        """Name and options."""
        return f'{type(self).__name__}(probs={tuple(round(prob, 4) for prob in self.probs)})'


def _apply(array: np.ndarray, flip: str | None, rotation: int) -> np.ndarray:
    if flip == 'horizontal':
        array = array[:, ::-1]
    elif flip == 'vertical':
        array = array[::-1]
    # cv2.warpAffine, and mmcv.imrotate with it, stops at four channels; rot90 doesn't.
    return np.ascontiguousarray(np.rot90(array, rotation // 90))


@TRANSFORMS.register_module()
class RandomCropWithChange(BaseTransform):
    """Crop a random rectangle, optionally with a least share of change.

    Required keys: ``img``, the maps listed in ``seg_fields``.

    Modified keys: these, ``img_shape``, ``pad_shape``. Added: ``crop_bbox``
    (y1, y2, x1, x2) in the image before the crop.

    Args:
        crop_size: (height, width), or one number for both.
        min_change: Share of changed pixels, 0..1 of those not ignored, that a
            crop should have. If none of ``tries`` crops has it, the one with
            most change is taken.
        tries: Number of crops to look at.
        keep_smaller: Keep an image that is smaller than the crop as it is on that
            side, for the data preprocessor to pad. By default it is refused.

    Raises:
        ValueError: An option is out of its range, or an image is too small.
        KeyError: ``min_change`` is set but the pair has no change map.
    """

    def __init__(
        self,
        crop_size: int | Sequence[int],
        min_change: float = 0.0,
        tries: int = 10,
        keep_smaller: bool = False,
    ) -> None:
        """See the class."""
        size = (crop_size, crop_size) if isinstance(crop_size, int) else tuple(crop_size)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f'crop_size has to be (height, width) in pixels, got {crop_size}')
        if not 0 <= min_change <= 1 or tries < 1:
            raise ValueError(
                f'min_change has to be in 0 .. 1 and tries 1 or more, got {min_change}, {tries}'
            )
        self.crop_size = (int(size[0]), int(size[1]))
        self.min_change = min_change
        self.tries = tries
        self.keep_smaller = keep_smaller

    @cache_randomness
    def choose(self, results: dict[str, Any]) -> Box:
        """Draw a crop and return it as (y1, y2, x1, x2)."""
        height, width = results['img'].shape[:2]
        if self.min_change > 0 and SEG_CHANGE not in results:
            raise KeyError(
                f'{type(self).__name__} with min_change={self.min_change} needs {SEG_CHANGE!r}; '
                'put LoadPairAnnotations before it'
            )
        return self.choose_box(
            height, width, lambda box: results[SEG_CHANGE][box[0] : box[1], box[2] : box[3]]
        )

    def choose_box(self, height: int, width: int, change_in: Callable[[Box], np.ndarray]) -> Box:
        """Draw a crop of an image that needn't be loaded.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels.
            change_in: Function that returns the change map in a box; it isn't called without
                ``min_change``.

        Returns:
            The box (y1, y2, x1, x2).
        """
        if self.min_change == 0:
            return self._draw(height, width)
        best, most = None, -1.0
        for _ in range(self.tries):
            box = self._draw(height, width)
            change = change_in(box)
            known = np.count_nonzero(change != IGNORE_INDEX)
            share = np.count_nonzero(change == 1) / known if known else 0.0
            if share > most:
                best, most = box, share
            if share >= self.min_change:
                break
        return best if best is not None else self._draw(height, width)

    def check_size(self, height: int, width: int, name: str) -> None:
        """Refuse an image that is smaller than the crop, unless ``keep_smaller`` is set.

        Raises:
            ValueError: It is smaller.
        """
        if not self.keep_smaller and (height < self.crop_size[0] or width < self.crop_size[1]):
            raise ValueError(
                f'the crop of {self.crop_size[0]} x {self.crop_size[1]} pixels is larger than the '
                f'image {name}, {height} x {width}; set a smaller '
                f'crop_size in {type(self).__name__}, or keep_smaller=True to take smaller images '
                'whole'
            )

    def _draw(self, height: int, width: int) -> Box:
        rows, columns = min(self.crop_size[0], height), min(self.crop_size[1], width)
        top = random.randint(0, height - rows)
        left = random.randint(0, width - columns)
        return top, top + rows, left, left + columns

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop the pair."""
        height, width = results['img'].shape[:2]
        self.check_size(height, width, results.get('sample_id', ''))
        top, bottom, left, right = box = self.choose(results)
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = np.ascontiguousarray(results[key][top:bottom, left:right])
        results['img_shape'] = results['pad_shape'] = results['img'].shape[:2]
        results['crop_bbox'] = box
        return results

    def __repr__(self) -> str:
        """Name and options."""
        return (
            f'{type(self).__name__}(crop_size={self.crop_size}, min_change={self.min_change}, '
            f'tries={self.tries}, keep_smaller={self.keep_smaller})'
        )
