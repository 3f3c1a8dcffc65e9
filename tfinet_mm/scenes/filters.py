"""Filter the pixels of a band or of a mask by those around them.

OpenCV computes where it is installed, several times as fast. Without it, NumPy finds the same
counts and masks, and the same grey values but for their rounding.
"""

from __future__ import annotations

import numpy as np

from tfinet_mm.utils.opencv import cv2, has_opencv

BLUR_REACH = 4
"""Pixels over which a blur of a standard deviation of 1 reaches."""


def count_around(mask: np.ndarray, side: int) -> np.ndarray:
    """Return the number of marked pixels in the square around each pixel; none lie outside.

    Args:
        mask: (H, W) bool.
        side: Side of the square, odd.

    Returns:
        (H, W) int32.

    Example:
        >>> count_around(np.array([[True, False, True, True]]), 3)
        array([[1, 2, 2, 2]], dtype=int32)
    """
    if has_opencv():
        counts: np.ndarray = cv2.boxFilter(
            mask.view(np.uint8),
            cv2.CV_32S,
            (side, side),
            normalize=False,
            borderType=cv2.BORDER_CONSTANT,
        )
        return counts
    return _sum_along(_sum_along(mask.astype(np.int32), side, 0), side, 1)


def _sum_along(values: np.ndarray, side: int, axis: int) -> np.ndarray:
    padding = [(0, 0), (0, 0)]
    padding[axis] = (side // 2, side // 2)
    total = np.zeros_like(values)
    for part in _shifted(np.pad(values, padding), side, axis):
        total += part
    return total


def _shifted(padded: np.ndarray, side: int, axis: int) -> list[np.ndarray]:
    """Return the parts of a padded array that lie at each place of a window on an axis."""
    length = padded.shape[axis] - side + 1
    parts = (slice(start, start + length) for start in range(side))
    return [padded[part] if axis == 0 else padded[:, part] for part in parts]


def thick_parts(mask: np.ndarray, side: int) -> np.ndarray:
    """Return the marked pixels that lie in a fully marked square (a morphological opening).

    Args:
        mask: (H, W) bool; pixels outside count as marked.
        side: Side of the squares.

    Returns:
        (H, W) bool.

    Example:
        >>> thick_parts(np.eye(4, dtype=bool) | (np.arange(4) < 2), 2).astype(int)[1:]
        array([[1, 1, 0, 0],
               [1, 1, 0, 0],
               [1, 1, 0, 1]])
    """
    full = np.pad(mask, side - 1, constant_values=True)
    for axis in (0, 1):
        full = np.logical_and.reduce(_shifted(full, side, axis))
    for axis in (0, 1):
        full = np.logical_or.reduce(_shifted(full, side, axis))
    return full


def blurred(band: np.ndarray) -> np.ndarray:
    """Return a band (h, w), float32, under a Gaussian blur of a standard deviation of 1 pixel.

    Pixels outside are mirrored in the outermost ones.
    """
    if has_opencv():
        return np.asarray(cv2.GaussianBlur(band, (0, 0), 1.0))
    weights = np.exp(-(np.arange(-BLUR_REACH, BLUR_REACH + 1) ** 2) / 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (BLUR_REACH, BLUR_REACH)
        parts = _shifted(np.pad(band, padding, mode='reflect'), len(weights), axis)
        band = weights[BLUR_REACH] * parts[BLUR_REACH]
        for place in range(BLUR_REACH):
            band += weights[place] * (parts[place] + parts[-1 - place])
    return band


def slopes(band: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes of a band (h, w), float32, to the right and down, by Sobel's weights.

    Pixels outside are mirrored in the outermost ones.

    Example:
        >>> across, down = slopes(np.add.outer(2 * np.arange(3), np.arange(3)).astype(np.float32))
        >>> float(across[1, 1]), float(down[1, 1])
        (1.0, 2.0)
    """
    if has_opencv():
        return (
            np.asarray(cv2.Sobel(band, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)),
            np.asarray(cv2.Sobel(band, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)),
        )
    padded = np.pad(band, 1, mode='reflect')
    across, down = padded[:, 2:] - padded[:, :-2], padded[2:] - padded[:-2]
    return (
        (across[:-2] + 2 * across[1:-1] + across[2:]) / 8,
        (down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]) / 8,
    )
