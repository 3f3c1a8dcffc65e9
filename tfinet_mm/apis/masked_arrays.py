"""Take the masks of NumPy's masked arrays into account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfinet_mm.scenes.blending import fill_invalid


def without_mask(image: Any) -> Any:
    """Return an image with 0 in place of masked values; others as they are."""
    return image.filled(0) if isinstance(image, np.ma.MaskedArray) else image


def valid_pixels(
    images: Sequence[Any], bands: Sequence[int] | None, size: tuple[int, int]
) -> np.ndarray:
    """Return where no band of any image is masked.

    Args:
        images: Arrays (H, W, B) or (H, W), or files, which have no mask.
        bands: The bands that count, from 1; None for all.
        size: H and W.

    Returns:
        (H, W) bool.

    Example:
        >>> image = np.ma.masked_equal([[[1, 2], [0, 4]]], 0)
        >>> valid_pixels([image, 'after.png'], None, (1, 2))
        array([[ True, False]])
        >>> valid_pixels([image], [2], (1, 2))
        array([[ True,  True]])
    """
    valid = np.ones(size, bool)
    for image in images:
        if isinstance(image, np.ma.MaskedArray):
            mask = np.ma.getmaskarray(image).reshape(*size, -1)
            chosen = mask if bands is None else mask[..., [number - 1 for number in bands]]
            valid &= ~chosen.any(axis=2)
    return valid


def fill_masked(joined: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return a pair (H, W, 2B) whose masked pixels have the values of a valid one next to them."""
    if valid.all():
        return joined
    return np.ascontiguousarray(fill_invalid(joined.transpose(2, 0, 1), valid).transpose(1, 2, 0))


def fill_dates(joined: np.ndarray, valid: Sequence[np.ndarray]) -> np.ndarray:
    """Return a pair (H, W, 2B) with the masked pixels of each date filled from that date alone."""
    dates = np.split(joined, 2, axis=2)
    if all(seen.all() for seen in valid):
        return joined
    return np.concatenate(list(map(fill_masked, dates, valid)), axis=2)


def masked_where_unseen(prob: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return probabilities (H, W) as float32, a masked array unless all pixels are valid."""
    prob = prob.astype(np.float32)
    if valid.all():
        return prob
    return np.ma.masked_array(np.where(valid, prob, np.float32(0)), mask=~valid)
