"""Draw random pixels of each stratum of a raster, a block of rows at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfinet_mm.errors import AssessmentError
from tfinet_mm.io.rasters import BLOCK_PIXELS, open_raster, read_rows, row_blocks
from tfinet_mm.scenes.areas import PixelAreas

SPARE = 6
"""Standard deviations of spare candidates, so that enough of them are accepted."""


class Drawn(NamedTuple):
    """Pixels that were drawn, in random order.

    Attributes:
        codes: Code of the stratum of each, int64 (n,).
        rows: Its row.
        columns: Its column.
    """

    codes: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


def draw_pixels(
    path: str | Path,
    wanted: np.ndarray,
    pixels: np.ndarray,
    pixel_areas: PixelAreas,
    largest: float,
    shares: np.ndarray,
    seed: int,
    block_pixels: int = BLOCK_PIXELS,
) -> Drawn:
    """Draw pixels of each stratum without repetition.

    The chance of a pixel is proportional to its area on the ground, so that shares of points are
    shares of area in degrees too. Ranks of pixels within their stratum are drawn before the
    raster is read, so that blocks of any size give the same points.

    Args:
        path: Raster of codes, 1..H and 0 where not seen.
        wanted: Points of each stratum (H,).
        pixels: Pixels of each stratum.
        pixel_areas: Areas of the pixels of its grid.
        largest: Greatest area of a pixel.
        shares: Mean area of a pixel of each stratum as a share of ``largest``.
        seed: Seed of the random numbers.
        block_pixels: Pixels of a block.

    Raises:
        AssessmentError: A stratum has fewer pixels than points, or not those that were counted.
    """
    rng = np.random.default_rng(seed)
    plans = []
    for number, available, share in zip(wanted, pixels, shares, strict=True):
        if number > available:
            raise AssessmentError(f'{number} points were asked for of {available} pixels')
        candidates = number
        if pixel_areas.constant is None:
            need = number / share
            spare = SPARE * math.sqrt(need * (1 - share) / share) if share < 1 else 0
            candidates = min(available, math.ceil(need + spare) + 1)
        ranks = rng.choice(available, candidates, replace=False, shuffle=True)
        plans.append((ranks, rng.random(candidates)))
    seen = np.zeros(len(plans), np.int64)
    places = [np.full((len(ranks), 2), -1, np.int64) for ranks, _ in plans]
    accepted = [np.ones(len(ranks), bool) for ranks, _ in plans]
    orders = [np.argsort(ranks) for ranks, _ in plans]
    with open_raster(path) as raster:
        for top, rows in row_blocks(raster.height, raster.width, block_pixels):
            block = read_rows(raster, top, rows).ravel()
            counts = np.bincount(block, minlength=len(plans) + 1)[1:]
            areas = None
            if pixel_areas.constant is None:
                areas = np.broadcast_to(pixel_areas.rows(top, rows), (rows, raster.width))
            for index, (ranks, chances) in enumerate(plans):
                order = orders[index]
                first, last = np.searchsorted(
                    ranks[order], (seen[index], seen[index] + counts[index])
                )
                if first == last:
                    continue
                here = order[first:last]
                spots = np.flatnonzero(block == index + 1)[ranks[here] - seen[index]]
                row, column = np.divmod(spots, raster.width)
                places[index][here] = np.stack([row + top, column], axis=1)
                if areas is not None:
                    accepted[index][here] = chances[here] < areas[row, column] / largest
            seen += counts
    if not np.array_equal(seen, pixels):
        raise AssessmentError(
            f'{path} has {seen.tolist()} pixels of each stratum, expected {pixels.tolist()}; it '
            'changed while it was read, draw the sample again'
        )
    codes, chosen = [], []
    for index, number in enumerate(wanted):
        # Those that were accepted, in the order in which they were drawn, before the others.
        order = np.argsort(~accepted[index], kind='stable')[:number]
        chosen.append(places[index][order])
        codes += [index + 1] * number
    joined = np.concatenate(chosen)
    # Shuffled, so that neither number nor order of a point tells its stratum.
    order = rng.permutation(len(joined))
    return Drawn(np.array(codes, np.int64)[order], joined[order, 0], joined[order, 1])
