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

    def __init__(self, joined: np.ndarray, valid: np.ndarray) -> None:
        self._joined, self._valid = joined, valid
        height, width = joined.shape[:2]
        self.grid = SceneGrid(None, None, width, height)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return both dates (2B, h, w) and the pixels that both show (h, w) in a window."""
        return self._joined[window.slices()].transpose(2, 0, 1), self._valid[window.slices()]


def align_pictures(
    joined: np.ndarray, valid: tuple[np.ndarray, np.ndarray], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return a pair with its second image and mask moved onto the first; log the shift in a line.

    Args:
        joined: (H, W, 2B), before's bands and then after's, in 0..255. Pixels that are not valid
            have the values of a valid one next to them.
        valid: The pixels of before and of after that are seen, (H, W) bool each.
        name: Name of the pair, for the log.

    Returns:
        The pair of the same size and type, interpolated bilinearly; pixels that after doesn't
        show repeat its edge. And the valid pixels of after there: those of which no neighbour
        that counts in the interpolation is masked. Both are the arrays themselves where the
        images lie within 0.1 px of each other, or where their shift can't be measured.
    """
    found = measure_registration(_Pictures(joined, valid[0] & valid[1]))
    print(f'{name}: {found.describe()}')
    if found.model is None or found.largest <= LEAST_SHIFT:
        return joined, valid[1]
    # Content of before's pixel p is at p + model(p) in after, where p counts from a corner.
    inverse = np.eye(2, 3) + found.model
    inverse[:, 2] += found.model[:, :2].sum(axis=1) / 2
    bands = joined.shape[2]
    aligned = joined.copy()
    for band in range(bands // 2, bands):
        aligned[..., band] = _moved(np.ascontiguousarray(joined[..., band]), inverse)
    return aligned, _moved((~valid[1]).astype(np.float32), inverse) == 0


def _moved(plane: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Return an (H, W) array moved by the map (2, 3) from its new pixels to its old ones."""
    height, width = plane.shape
    return np.asarray(
        cv2.warpAffine(
            plane,
            inverse,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )
