"""Read the maps and totals of a series for its page: when each place changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfinet_mm.errors import ReportError
from tfinet_mm.io.rasters import open_raster
from tfinet_mm.report.encoding import NODATA_COLOUR, jpeg_uri, overlay_uri, reduced_size
from tfinet_mm.report.records import HECTARES, PIXELS, SeriesRow, SeriesTotals
from tfinet_mm.report.scene_picture import fade
from tfinet_mm.scenes.series.maps import (
    SERIES_FILE,
    TIMES_CHANGED,
    WHEN,
    read_series,
    series_rasters,
)

MOST_SIDE = 1024
"""Longer side of the maps in pixels, which two columns of a wide page show."""


def series_totals(folder: Path) -> SeriesTotals:
    """Read the totals of a finished series.

    Raises:
        ReportError: Its maps are of other results of the pairs.
        ManifestError: ``series.json`` is damaged.
    """
    found = read_series(folder)
    if found is None:
        raise ReportError(
            f'{folder / SERIES_FILE} is of other results than those in the folders of the pairs; '
            'run tfinet series again'
        )
    rasters = series_rasters(found['intervals'])
    rows: list[dict[str, Any]] = found['summary']

    def areas(what: str) -> list[float]:
        return [row['area'] for row in rows if row['what'] == what]

    changed = areas('all changed')
    intervals = [
        SeriesRow(name, area, _share(area, area + same), first, colour)
        for name, area, same, first, colour in zip(
            found['intervals'],
            changed,
            areas('unchanged'),
            areas('first change'),
            rasters[WHEN].colours[1:],
            strict=True,
        )
    ]
    times = [row['area'] for row in rows if row['what'].startswith('changed ')]
    return SeriesTotals(
        folder,
        tuple(found['dates']),
        HECTARES if found['unit'] == 'ha' else PIXELS,
        tuple(intervals),
        tuple(
            SeriesRow(
                'never' if not number else 'once' if number == 1 else f'{number} times',
                area,
                _share(area, sum(times)),
                colour=rasters[TIMES_CHANGED].colours[number],
            )
            for number, area in enumerate(times)
        ),
        tuple(
            SeriesRow(date, area, _share(area, both))
            for date, area, both in zip(
                found['dates'][1:-1],
                areas('all contradictions'),
                areas('with both predictions'),
                strict=True,
            )
        ),
        # Those of the intervals come before that of the whole series.
        areas('not seen')[-1],
    )


def series_maps(totals: SeriesTotals, image: np.ndarray | None, max_side: int) -> dict[str, str]:
    """Return the pictures of a series as ``data:`` addresses.

    Args:
        totals: The series.
        image: RGB quick look (H, W, 3) of the last date, or None.
        max_side: Longer side in pixels, at most :data:`MOST_SIDE`.

    Returns:
        ``image``, a JPEG in pale grey; ``when`` and ``times_changed``, palette PNGs of the size of
        the maps, transparent where nothing changed.
    """
    found = {}
    size = (1, 1)
    rasters = series_rasters([one.name for one in totals.intervals])
    for name in (WHEN, TIMES_CHANGED):
        raster = rasters[name]
        values = _read(totals.folder / f'{name}.tif', min(max_side, MOST_SIDE))
        size = values.shape[1], values.shape[0]
        colours = np.full((256, 3), NODATA_COLOUR, np.uint8)
        colours[: len(raster.colours)] = raster.colours
        found[name] = overlay_uri(values, colours, clear=(0,))
    shown = np.full((size[1], size[0], 3), 240, np.uint8)
    if image is not None:
        resized = Image.fromarray(image).resize(size, Image.Resampling.BOX)
        shown = fade(np.asarray(resized))
    return found | dict(image=jpeg_uri(shown))


def _read(path: Path, side: int) -> np.ndarray:
    with open_raster(path) as raster:
        width, height = reduced_size(raster.width, raster.height, side)
        values: np.ndarray = raster.read(1, out_shape=(height, width))
    return values


def _share(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0
