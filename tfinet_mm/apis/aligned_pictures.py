"""Move the second image of a pair onto the first."""

from __future__ import annotations

import numpy as np

from tfinet_mm.io.images import Window
from tfinet_mm.scenes.alignment import LEAST_SHIFT
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.registration import measure_registration
from tfinet_mm.utils.opencv import cv2


class _Pictures:
    """Two images as a :class:`~tfinet_mm.scenes.registration.PairReader`."""

    def __init__(self, joined: np.ndarray) -> None:
        self._joined = joined
        height, width = joined.shape[:2]
        self.grid = SceneGrid(None, None, width, height)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return both dates (2B, h, w) in a window, of which all pixels are valid."""
        part = self._joined[window.slices()].transpose(2, 0, 1)
        return part, np.ones(part.shape[1:], bool)


def align_pictures(joined: np.ndarray, name: str) -> np.ndarray:
    """Return a pair with its second image moved onto the first, and log the shift in one line.

    Args:
        joined: (H, W, 2B), before's bands and then after's, in 0..255.
        name: Name of the pair, for the log.

    Returns:
        The pair of the same size and type, interpolated bilinearly; pixels that after doesn't
        show repeat its edge. The array itself where the images lie within 0.1 px of each other,
        or where their shift can't be measured.
    """
    found = measure_registration(_Pictures(joined))
    print(f'{name}: {found.describe()}')
    if found.model is None or found.largest <= LEAST_SHIFT:
        return joined
    # Content of before's pixel p is at p + model(p) in after, where p counts from a corner.
    inverse = np.eye(2, 3) + found.model
    inverse[:, 2] += found.model[:, :2].sum(axis=1) / 2
    height, width, bands = joined.shape
    aligned = joined.copy()
    for band in range(bands // 2, bands):
        aligned[..., band] = cv2.warpAffine(
            np.ascontiguousarray(joined[..., band]),
            inverse,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return aligned
