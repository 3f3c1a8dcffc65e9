"""Compare the overviews of a raster with its pixels, since percentiles are taken from overviews."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.damage import describe, read_errors
from tfinet_mm.io.images import Window
from tfinet_mm.scenes.sources import raster_window, sample_windows

TOLERANCE = 0.05
"""Part of the range of values by which an overview may lie beside them, as by lossy compression."""
LEAST_REACH = 80
"""Range of values that counts at least in 8 bits, where compression loses some on even ground."""


def check_overviews(raster: Any, bands: Sequence[int], box: Window, side: int, name: str) -> None:
    """Refuse overviews that show other values than the pixels.

    A few windows are read, of the pixels and of the overviews. Those that can't be read don't
    count; reading them reports the damage.

    Args:
        raster: The raster.
        bands: Numbers of the bands that are read.
        box: The part of it that is read.
        side: Length of the longer side of a picture that is read from it, in pixels.
        name: Date and file, for messages.

    Raises:
        SceneError: In more than half of the windows, the median of an overview lies beyond all
            values of the pixels.
    """
    factor = max(box.width, box.height) / side
    levels = raster.overviews(bands[0]) if factor > 1 else []
    # GDAL takes an overview up to a fifth smaller than what is asked for.
    if not levels or factor * 1.2 < levels[0]:
        return
    looked = []
    for window in sample_windows(box.width, box.height):
        moved = window._replace(left=window.left + box.left, top=window.top + box.top)
        shape = tuple(max(round(length / factor), 1) for length in (window.height, window.width))
        try:
            parts = [
                raster.read(bands, window=raster_window(moved), masked=True, **how)
                for how in ({}, dict(out_shape=(len(bands), *shape)))
            ]
        except read_errors():
            continue
        looked.append((moved, *parts))
    for position, band in enumerate(bands):
        found = []
        for window, pixels, small in looked:
            values, shown = (_finite(part[position]) for part in (pixels, small))
            if values.size and shown.size:
                found.append((window, values.min(), values.max(), np.median(shown)))
        if not found:
            continue
        reach = max(one[2] for one in found) - min(one[1] for one in found)
        slack = TOLERANCE * max(reach, LEAST_REACH if raster.dtypes[band - 1] == 'uint8' else 0)
        wrong = [one for one in found if not one[1] - slack <= one[3] <= one[2] + slack]
        if 2 * len(wrong) > len(found):
            window, low, high, median = wrong[0]
            raise SceneError(
                f'{name} has overviews that show other values than its pixels: in band {band}, '
                f'{describe(window)}, around {median:g} in place of {low:g} to {high:g}. '
                'Percentiles are taken from them; make them again (gdaladdo -clean FILE, then '
                'gdaladdo FILE), or state the values that become 0 and 255: --stretch LOW HIGH'
            )


def _finite(values: Any) -> np.ndarray:
    """Return the values of a masked array that count, float64 (N,)."""
    seen = np.asarray(values.compressed(), np.float64)
    return seen[np.isfinite(seen)]
