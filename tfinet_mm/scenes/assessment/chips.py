"""Cut chips around points out of both dates of a predicted scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tfinet_mm.io.jpeg import encode_jpeg
from tfinet_mm.scenes.assessment.files import chip_file
from tfinet_mm.scenes.reader import ScenePair

QUALITY = 92
DATES = 'before', 'after'


def write_chips(
    pair: ScenePair, folder: Path, points: Mapping[int, tuple[int, int]], side: int
) -> None:
    """Write a JPEG file of each date for each point, which is its middle pixel.

    Args:
        pair: The images.
        folder: Folder of the sample.
        points: Row and column of each point by its number.
        side: Side in pixels, odd; black beyond the edge of the scene.
    """
    # From top to bottom, so that GDAL reads its blocks once.
    for number, place in sorted(points.items(), key=lambda one: one[1]):
        for date, chip in zip(DATES, _chips(pair, *place, side), strict=True):
            path = folder / chip_file(number, date)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(chip, QUALITY))


def _chips(pair: ScenePair, row: int, column: int, side: int) -> Iterator[np.ndarray]:
    """Yield the RGB chip (side, side, 3) of each date."""
    half = side // 2
    left, top = max(column - half, 0), max(row - half, 0)
    right = min(column + half + 1, pair.grid.width)
    bottom = min(row + half + 1, pair.grid.height)
    values, _ = pair.read((left, top, right - left, bottom - top))
    for date in np.split(values, 2):
        shown = date[:3] if len(date) >= 3 else np.repeat(date[:1], 3, axis=0)
        chip = np.zeros((side, side, 3), np.uint8)
        place = np.s_[
            top - row + half : bottom - row + half, left - column + half : right - column + half
        ]
        chip[place] = np.round(shown).astype(np.uint8).transpose(1, 2, 0)
        yield np.ascontiguousarray(chip)
