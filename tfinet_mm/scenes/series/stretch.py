"""Find the one stretch of a series of scenes, so that neighbouring pairs agree on their date."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from tfinet_mm.io.images import PathLike
from tfinet_mm.scenes.dates import SceneDate
from tfinet_mm.scenes.grid import SceneGrid, beside
from tfinet_mm.scenes.quality import QualityBand
from tfinet_mm.scenes.shared_stretch import (
    is_8_bit,
    sample_dates,
    shared_stretch,
    warn_of_dates_apart,
)
from tfinet_mm.scenes.stretch import Stretch


def series_stretch(
    scenes: Sequence[PathLike],
    grid: SceneGrid,
    stretch: Any = 'auto',
    percentiles: tuple[float, float] = (2, 98),
    *,
    crs: Any = None,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    ignore_scale: bool = False,
    quality: Sequence[Any] | None = None,
    bad_values: Any = None,
    kept: Stretch | None = None,
) -> list[Stretch] | None:
    """Return the stretch of each scene in its own stored numbers, where one is taken from all.

    Args:
        scenes: Their files, in the order of time.
        grid: The grid of all results.
        stretch: The option, see :class:`~tfinet_mm.scenes.reader.ScenePair`.
        percentiles: Those that become 0 and 255.
        crs: CRS of all scenes, in place of those of the files.
        bands: Bands to read.
        nodata: Value of pixels without data.
        ignore_scale: Take the stored numbers as they are.
        quality: The quality band of each scene, whose bad pixels don't count; None where it has
            none.
        bad_values: Its values that count as bad.
        kept: The stretch of finished pairs, in the numbers of the first scene.

    Returns:
        None where ``stretch`` states another one, or 8-bit values stay as they are.

    Raises:
        SceneError: The values of two scenes can't be compared, or one shows no pixel.
    """
    if not (isinstance(stretch, str) and stretch in ('auto', 'percentiles')):
        return None
    with contextlib.ExitStack() as files:
        dates = [
            SceneDate('after' if number else 'before', path, crs, bands, nodata, files)
            for number, path in enumerate(scenes)
        ]
        if stretch == 'auto' and is_8_bit(dates):
            return None
        qualities: list[QualityBand | None] = [None] * len(dates)
        for index, date in enumerate(dates):
            if quality is not None and quality[index] is not None:
                band = QualityBand(date.role, quality[index], bad_values, files)
                band.place(date.stored, date.grid)
                qualities[index] = band
            date.grid = beside(date.grid, grid)
        samples = sample_dates(dates, grid, ignore_scale, qualities)
        found = shared_stretch(samples, percentiles)
        if kept is not None and kept.percentiles == found.percentiles and kept != found:
            print(
                'The stretch is that of the finished pairs, so that all pairs of the series can '
                'be compared; --overwrite takes it from all scenes, and predicts them again'
            )
            found = kept
        warn_of_dates_apart(dates, samples, found)
        if ignore_scale:
            return [found] * len(dates)
        first = dates[0].tags
        return [
            found if date.tags == first else found.converted(first, date.tags) for date in dates
        ]
