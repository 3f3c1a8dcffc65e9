"""Find the pixel grid on which all scenes of a series are compared: the overlap of all."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike
from tfinet_mm.scenes.date_checks import warn_of_bands
from tfinet_mm.scenes.dates import SceneDate
from tfinet_mm.scenes.datum_shifts import warn_of_datums
from tfinet_mm.scenes.grid import SceneGrid, beside, check_systems, common_grid

FIRST = 'first'


def series_grid(
    scenes: Sequence[PathLike],
    grid: str | float = FIRST,
    *,
    crs: Any = None,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
) -> SceneGrid:
    """Return the grid that covers the overlap of all scenes.

    Args:
        scenes: Their files, two or more.
        grid: Pixels of the result: ``'first'`` for those of the first scene, or the size of a
            pixel in the units of its CRS.
        crs: CRS of all scenes, in place of those of the files.
        bands: Bands to read, see :class:`~tfinet_mm.scenes.reader.ScenePair`.
        nodata: Value of pixels without data, see there.

    Raises:
        SceneError: The scenes have no common place, or ``grid`` is out of range; the message
            names the two scenes that don't overlap.
    """
    if isinstance(grid, str) and grid != FIRST:
        raise SceneError(
            f"expected the grid of a series as 'first' or the size of a pixel, got {grid!r}"
        )
    with contextlib.ExitStack() as files:
        first, *others = [
            SceneDate('after' if number else 'before', path, crs, bands, nodata, files)
            for number, path in enumerate(scenes)
        ]
    made = first.grid
    pixels: str | float = 'before' if isinstance(grid, str) else grid
    for other in others:
        names = f' ({first.path})', f' ({other.path})'
        check_systems(made, other.grid, (first.name, other.name))
        made = common_grid(made, beside(other.grid, made), pixels, names)
        pixels = 'before'
        # The pairs of a series have a stretch that was made, and warn of nothing.
        if not bands:
            warn_of_bands(first, other)
    warn_of_datums(others, made)
    return made
