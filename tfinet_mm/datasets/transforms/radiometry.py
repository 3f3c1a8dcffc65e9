"""Radiometric alignment of the second date of a pair to the first."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from tfinet_mm.datasets.transforms.loading import NO_DATA
from tfinet_mm.io.images import join_dates, split_dates
from tfinet_mm.registry import TRANSFORMS

LEVELS = np.arange(256, dtype=np.float64)


@TRANSFORMS.register_module()
class MatchRadiometry(BaseTransform):
    """Give the second date the mean and standard deviation of the first, for each band.

    This is relative radiometric normalisation by mean and standard deviation, one of the methods
    that Yuan and Elvidge compared (Comparison of relative radiometric normalization techniques,
    1996). It draws nothing, so that training and test pipelines treat a pair in the same way:
    list it in both, directly after ``LoadImagePair``.

    Only pixels that both dates show count and change, all but ``image_no_data``. A band that is
    constant at either date stays as it is. Whole numbers are rounded and cut to their type, others
    cut to 0..255.

    Required and modified key: ``img`` (H, W, 2B). Optional key: ``image_no_data`` (H, W) bool.

    Raises:
        ValueError: An earlier transform has cropped, flipped or rotated the images, and not
            ``image_no_data``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Align the second date."""
        shown = self._shown(results)
        before, after = split_dates(results['img'])
        aligned = [
            _aligned(before[..., band], after[..., band], shown) for band in range(before.shape[2])
        ]
        results['img'] = join_dates(before, np.stack(aligned, axis=-1))
        return results

    def _shown(self, results: dict[str, Any]) -> np.ndarray | None:
        """Return the pixels that both dates show, None for all."""
        missing = results.get(NO_DATA)
        if missing is None or not missing.any():
            return None
        moved = results.get('flip') or results.get('rotation')
        if moved or missing.shape != results['img'].shape[:2]:
            raise ValueError(
                f'{type(self).__name__} gets images that were cropped, flipped or rotated after '
                'their pixels without data were found; list it directly after LoadImagePair'
            )
        return ~missing

    def __repr__(self) -> str:
        """Name."""
        return f'{type(self).__name__}()'


def _aligned(before: np.ndarray, after: np.ndarray, shown: np.ndarray | None) -> np.ndarray:
    """Return the band (H, W) of the second date with the mean and deviation of the first."""
    own, other = (after, before) if shown is None else (after[shown], before[shown])
    if not own.size or own.min() == own.max() or other.min() == other.max():
        return after
    factor = other.std(dtype=np.float64) / own.std(dtype=np.float64)
    mean, wanted = own.mean(dtype=np.float64), other.mean(dtype=np.float64)
    # Of 8 bits, a table of all values saves time.
    values = LEVELS if after.dtype == np.uint8 else after
    moved = (values - mean) * factor + wanted
    if np.issubdtype(after.dtype, np.integer):
        limits = np.iinfo(after.dtype)
        moved = np.rint(moved).clip(limits.min, limits.max).astype(after.dtype)
    else:
        moved = moved.clip(0, 255).astype(after.dtype)
    if after.dtype == np.uint8:
        moved = moved[after]
    return moved if shown is None else np.where(shown, moved, after)
