"""Sum up the areas of a scene's classes and transitions within polygons of interest."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.io.images import Window
from tfinet_mm.io.rasters import BLOCK_PIXELS, PathLike, import_geo, read_rows, row_blocks
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.cells import cell_numbers
from tfinet_mm.scenes.from_to import FromToAreas, areas_of_cells
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.totals import QUANTITIES
from tfinet_mm.scenes.zones.coverage import choose_method, covered
from tfinet_mm.scenes.zones.polygons import Zones, read_zones
from tfinet_mm.utils.files import whole_file

TOTALS_FILE = 'zone_totals.csv'
FROM_TO_FILE = 'zone_from_to.csv'
AREAS_FILE = 'zone_areas.json'


@dataclass(frozen=True)
class ZoneAreas:
    """Areas within one zone.

    Attributes:
        name: Its name.
        polygons: Number of its polygons.
        outside: Part 0..1 of its area that is outside of the scene.
        areas: Areas of the part inside.
    """

    name: str
    polygons: int
    outside: float
    areas: FromToAreas


def zone_areas(
    results: SceneResults,
    zones: Zones,
    coverage: str = 'exact',
    block_pixels: int = BLOCK_PIXELS,
) -> list[ZoneAreas]:
    """Sum up the areas within each zone, a block of rows at a time.

    A pixel on the border of a zone counts by the part of it that is inside, with its area as in
    ``areas.json``.

    Args:
        results: The scene.
        zones: The zones.
        coverage: 'exact', or 'centre': a pixel counts whole where its centre is inside.
        block_pixels: Pixels of a block.

    Returns:
        One for each zone, in their order; ``pixels`` are rounded to whole numbers.
    """
    shapely = import_geo('shapely', 'Areas within polygons')
    grid, number = results.grid, results.classes.num_classes
    method = results.scene.get('area_method', 'auto')
    pixel_areas = PixelAreas(grid, 'auto' if method == 'pixels' else method)
    nodata = int(results.rasters['transition'].nodata)
    length = number + number**2 + 1
    sums, counts = np.zeros((2, len(zones.names), length))
    cover = covered(coverage)
    bounds = shapely.bounds(zones.shapes)
    with results.open('transition') as codes, results.open('land_cover_from') as covers:
        for top, rows in row_blocks(grid.height, grid.width, block_pixels):
            # Of an empty shape the bounds are NaN.
            here = np.flatnonzero((bounds[:, 1] < top + rows) & (bounds[:, 3] > top))
            if not len(here):
                continue
            read = read_rows(codes, top, rows), read_rows(covers, top, rows)
            cells = cell_numbers(*read, number, nodata)
            area = np.broadcast_to(pixel_areas.rows(top, rows), cells.shape)
            for zone in here:
                window = _window(bounds[zone], top, rows, grid.width)
                if window is None:
                    continue
                indices, parts = cover(zones.shapes[zone], window)
                place = (
                    slice(window.top - top, window.top - top + window.height),
                    slice(window.left, window.left + window.width),
                )
                found = cells[place].ravel()[indices]
                counts[zone] += np.bincount(found, parts, minlength=length)
                weights = parts * area[place].ravel()[indices]
                sums[zone] += np.bincount(found, weights, minlength=length)
    whole = np.rint(counts).astype(np.int64)
    return [
        ZoneAreas(
            name,
            int(zones.polygons[zone]),
            float(zones.outside[zone]),
            areas_of_cells(results.classes.land_cover, pixel_areas, sums[zone], whole[zone]),
        )
        for zone, name in enumerate(zones.names)
    ]


def _window(bounds: np.ndarray, top: int, rows: int, width: int) -> Window | None:
    """Return the pixels of a block that bounds (left, top, right, bottom) touch, if any."""
    left, first = max(int(np.floor(bounds[0])), 0), max(int(np.floor(bounds[1])), top)
    right = min(int(np.ceil(bounds[2])), width)
    last = min(int(np.ceil(bounds[3])), top + rows)
    return Window(left, first, right - left, last - first) if right > left else None


def write_zone_areas(
    scene: PathLike,
    aoi: PathLike,
    out: PathLike | None = None,
    *,
    by: str | None = None,
    layer: str | None = None,
    crs: Any = None,
    coverage: str = 'auto',
) -> tuple[Path, list[ZoneAreas], str]:
    """Write the areas of a scene within polygons of interest.

    Args:
        scene: Folder of a finished scene.
        aoi: File of the polygons.
        out: Folder to write; by default ``zones/NAME`` in the scene's, where NAME is that of the
            file.
        by: See :func:`~tfinet_mm.scenes.zones.polygons.read_zones`.
        layer: See there.
        crs: See there.
        coverage: 'exact', 'centre', or 'auto': exact where exactextract is installed.

    Returns:
        The folder, the areas, and the method of coverage.

    Raises:
        MissingExtraError: A part of the extra ``geo`` is not installed, or exactextract is asked
            for and not installed.
        SceneError: The scene isn't finished, or the polygons can't be used; see there.
        FileNotFoundError: There is no such file of polygons.
    """
    coverage = choose_method(coverage)
    results = SceneResults(Path(scene))
    zones = read_zones(aoi, results.grid, by, layer, crs)
    found = zone_areas(results, zones, coverage)
    folder = results.folder / 'zones' / Path(aoi).stem if out is None else Path(out)
    _write_totals(folder / TOTALS_FILE, found)
    _write_from_to(folder / FROM_TO_FILE, found)
    values = dict(
        aoi=os.path.abspath(aoi),
        by=by,
        layer=layer,
        coverage=coverage,
        zones=[
            dict(name=one.name, polygons=one.polygons, outside=one.outside) | one.areas.as_json()
            for one in found
        ],
    )
    with whole_file(folder / AREAS_FILE) as partial:
        text = json.dumps(values, indent=2, ensure_ascii=False)
        partial.write_text(text + '\n', encoding='utf-8')
    return folder, found, coverage


def _write_totals(path: Path, found: Sequence[ZoneAreas]) -> None:
    unit = _unit(found)
    columns = ['zone', 'outside_percent', 'not_seen_percent', 'class']
    columns += [*(f'{quantity}_{unit}' for quantity in QUANTITIES), 'net_percent']
    rows = [
        [one.name, 100 * one.outside, one.areas.not_seen_percent, row['name']]
        + [row[key] for key in (*QUANTITIES, 'net_percent')]
        for one in found
        for row in one.areas.by_class()
    ]
    _write_csv(path, [columns, *rows])


def _write_from_to(path: Path, found: Sequence[ZoneAreas]) -> None:
    """Write a row for each transition of each zone that occurs in it."""
    rows = [
        [one.name, one.areas.classes[old], one.areas.classes[new], one.areas.matrix[old, new]]
        for one in found
        for old, new in np.argwhere(one.areas.matrix > 0)
    ]
    _write_csv(path, [['zone', 'from', 'to', _unit(found)], *rows])


def _unit(found: Sequence[ZoneAreas]) -> str:
    return 'hectares' if found[0].areas.unit == 'ha' else 'pixels'


def _write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    with (
        whole_file(path) as partial,
        partial.open('w', encoding='utf-8', newline='') as file,
    ):
        csv.writer(file).writerows(rows)
