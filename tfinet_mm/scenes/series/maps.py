"""Sum up the pairs of a series: maps of the first change, and a table of intervals."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import ManifestError, SceneError
from tfinet_mm.io.rasters import BLOCK_PIXELS, raw_writer, read_rows, row_blocks
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.cog import write_cog
from tfinet_mm.scenes.from_to import SQUARE_METRES_A_HECTARE, FromToAreas
from tfinet_mm.scenes.provenance import provenance_tags
from tfinet_mm.scenes.result_rasters import CHANGE_NODATA, COVER_NODATA, Colour, ResultRaster
from tfinet_mm.scenes.results import SCENE_FILE, SceneResults
from tfinet_mm.scenes.styles import write_raster_style
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.utils.manifest import read_json
from tfinet_mm.version import __version__

WHEN, TIMES_CHANGED, TIMES_SEEN = 'when', 'times_changed', 'times_seen'
NOT_SEEN = 255
MOST_INTERVALS = 254
TABLE_FILE = 'series.csv'
SERIES_FILE = 'series.json'
WORK_FOLDER = '.series'
NEVER: Colour = (240, 240, 240)
# From early to late; the colours between are mixed.
RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


@dataclass
class Sums:
    """Areas of classes of pixels, added up block by block.

    Attributes:
        pixels: Number of pixels of each class.
        areas: Their areas in square metres.
    """

    pixels: np.ndarray
    areas: np.ndarray

    @classmethod
    def of(cls, number: int) -> Sums:
        """Return sums of nothing for a number of classes."""
        return cls(np.zeros(number, np.int64), np.zeros(number))

    def add(self, codes: np.ndarray, area: np.ndarray) -> None:
        """Add pixels of the classes ``codes``, with the area of each."""
        number = len(self.pixels)
        self.pixels += np.bincount(codes, minlength=number)
        self.areas += np.bincount(codes, area, minlength=number)


@dataclass
class SeriesSums:
    """Areas over a series of N intervals and K classes of land cover.

    Attributes:
        when: By the interval of the first change: never, 1..N, not seen.
        times: By the number of changes: 0..N, not seen.
        covers: For each of the N - 1 dates in the middle, by the land cover of that date in the
            pair that ends there, times K, plus that in the pair that begins there.
    """

    when: Sums
    times: Sums
    covers: list[Sums] = field(default_factory=list)


def write_series(
    out: str | Path,
    pairs: Sequence[str],
    dates: Sequence[str],
    block_pixels: int = BLOCK_PIXELS,
) -> dict[str, Any]:
    """Write maps of the first change and of the number of changes, and a table.

    Memory holds a block of rows. Nothing is done where the results are of these pairs already.

    Args:
        out: Folder that holds the folders of the pairs. It gets ``when.tif``,
            ``times_changed.tif``, ``times_seen.tif``, each with a style of QGIS (``.qml``),
            ``series.csv`` and, last, ``series.json``.
        pairs: Names of the folders of the N finished scenes, each of two neighbouring dates.
        dates: The N + 1 dates, or numbers.
        block_pixels: Pixels of a block.

    Returns:
        Content of ``series.json``.

    Raises:
        SceneError: A scene isn't finished, there are more than 254, two are of different grids or
            classes, or one doesn't begin with the image with which the one before it ends.
    """
    out = Path(out)
    if not 1 <= len(pairs) <= MOST_INTERVALS or len(dates) != len(pairs) + 1:
        raise SceneError(
            f'expected 1 to {MOST_INTERVALS} pairs and one date more, got {len(pairs)} pairs and '
            f'{len(dates)} dates'
        )
    scenes = [SceneResults(out / name) for name in pairs]
    _check_same(scenes)
    intervals = [f'{first} to {last}' for first, last in pairwise(dates)]
    rasters = series_rasters(intervals)
    made_from = dict(
        dates=list(dates),
        pairs={name: _digest(out / name / SCENE_FILE) for name in pairs},
        files=[*(f'{name}.{end}' for end in ('tif', 'qml') for name in rasters), TABLE_FILE],
    )
    try:
        found = read_json(out / SERIES_FILE)
    except ManifestError:
        found = None
    if found is not None and _is_of(out, found, made_from):
        return found
    (out / SERIES_FILE).unlink(missing_ok=True)
    areas = PixelAreas(scenes[0].grid)
    work = out / WORK_FOLDER
    work.mkdir(exist_ok=True)
    try:
        sums = _add_up(scenes, areas, work, block_pixels)
        origin = series_provenance([scene.scene for scene in scenes], dates)
        _write_maps(out, work, scenes[0], rasters.values(), provenance_tags(origin))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    rows = list(_rows(scenes, dates, sums))
    _write_table(out / TABLE_FILE, rows, areas.method == 'pixels')
    content = made_from | dict(
        intervals=intervals,
        unit='pixels' if areas.method == 'pixels' else 'ha',
        area_method=areas.method,
        summary=_summary(rows),
        software=f'tfinet_mm {__version__}',
        **({'provenance': origin} if origin else {}),
    )
    with whole_file(out / SERIES_FILE) as incomplete:
        incomplete.write_text(json_text(content) + '\n', encoding='utf-8')
    return content


def read_series(out: Path) -> dict[str, Any] | None:
    """Return the content of ``series.json``, None unless its maps are of the pairs in the folder.

    Raises:
        ManifestError: The file is damaged.
    """
    keys = 'dates', 'pairs', 'files', 'intervals', 'unit', 'summary'
    found = read_json(out / SERIES_FILE, keys, 'run tfinet series again')
    if found is None:
        return None
    scenes = {name: out / name / SCENE_FILE for name in found['pairs']}
    pairs = {name: _digest(path) for name, path in scenes.items() if path.is_file()}
    return found if _is_of(out, found, dict(pairs=pairs)) else None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_of(out: Path, found: Mapping[str, Any], made_from: Mapping[str, Any]) -> bool:
    """Return whether all results of a ``series.json`` are there, and of these pairs."""
    same = all(found.get(key) == value for key, value in made_from.items())
    return same and all((out / name).is_file() for name in found.get('files', ()))


def _check_same(scenes: Sequence[SceneResults]) -> None:
    first = scenes[0]
    for other in scenes[1:]:
        if other.classes.names != first.classes.names:
            raise SceneError(
                f'{first.folder} and {other.folder} have other classes; predict both with one '
                'network'
            )
        if other.grid != first.grid:
            raise SceneError(
                f'{first.folder} covers {first.grid.describe()}, {other.folder} '
                f'{other.grid.describe()}; expected one grid: predict both in one series'
            )
    for earlier, later in pairwise(scenes):
        ends, begins = (
            (scene.scene.get('provenance') or {}).get(role, {})
            for scene, role in ((earlier, 'after'), (later, 'before'))
        )
        sums = [one.get('sha256') for one in (ends, begins)]
        if all(sums) and sums[0] != sums[1]:
            raise SceneError(
                f'{earlier.folder} ends with the image {ends["file"]} (sha256 {sums[0][:12]}...), '
                f'{later.folder} begins with {begins["file"]} ({sums[1][:12]}...), expected one '
                'image: predict both in one series (--overwrite)'
            )


def _add_up(
    scenes: Sequence[SceneResults], areas: PixelAreas, work: Path, block_pixels: int
) -> SeriesSums:
    """Write the raw maps and add up their areas, a block of rows at a time."""
    grid, classes = areas.grid, scenes[0].classes.num_classes
    number = len(scenes)
    sums = SeriesSums(
        Sums.of(number + 2),
        Sums.of(number + 2),
        [Sums.of(classes**2) for _ in scenes[1:]],
    )
    with ExitStack() as stack:
        writers = [
            stack.enter_context(raw_writer(work / f'{name}.img', 'uint8', grid.height, grid.width))
            for name in (WHEN, TIMES_CHANGED, TIMES_SEEN)
        ]
        changes, froms, tos = (
            [stack.enter_context(scene.open(name)) for scene in scenes]
            for name in ('change', 'land_cover_from', 'land_cover_to')
        )
        for top, rows in row_blocks(grid.height, grid.width, block_pixels):
            shape = rows, grid.width
            area = np.broadcast_to(areas.rows(top, rows), shape)
            when, times, seen = (np.zeros(shape, np.uint8) for _ in range(3))
            for index, raster in enumerate(changes):
                change = read_rows(raster, top, rows)
                changed = change == 1
                when[changed & (when == 0)] = index + 1
                times += changed
                seen += change != CHANGE_NODATA
            unseen = seen == 0
            for values, total in ((when, sums.when), (times, sums.times)):
                total.add(np.where(unseen, number + 1, values).ravel(), area.ravel())
                values[unseen] = NOT_SEEN
            for write, values in zip(writers, (when, times, seen), strict=True):
                write(values)
            for earlier, later, total in zip(tos, froms[1:], sums.covers, strict=False):
                ending, beginning = (read_rows(raster, top, rows) for raster in (earlier, later))
                both = (ending != COVER_NODATA) & (beginning != COVER_NODATA)
                codes = (ending[both].astype(np.intp) - 1) * classes + beginning[both] - 1
                total.add(codes, area[both])
    return sums


def series_rasters(intervals: Sequence[str]) -> dict[str, ResultRaster]:
    """Return the rasters of a series by name.

    Args:
        intervals: Names of the N intervals.

    Returns:
        ``when``: 1..N for the interval of the first change, 0 never, 255 not seen.
        ``times_changed``: the number of changes, 0..N, 255 not seen. ``times_seen``: the number of
        intervals with data, 0..N, where 0 is nodata.
    """
    counts = tuple(str(times) for times in range(len(intervals) + 1))
    colours = NEVER, *ramp(len(intervals))
    maps = {
        WHEN: ('interval of the first change', NOT_SEEN, ('never', *intervals)),
        TIMES_CHANGED: ('number of intervals with a change', NOT_SEEN, counts),
        TIMES_SEEN: ('number of intervals with data', 0, counts),
    }
    return {
        name: ResultRaster(
            name, 'uint8', nodata, description, class_names=names, colours=colours, clear=True
        )
        for name, (description, nodata, names) in maps.items()
    }


def series_provenance(scenes: Sequence[Mapping[str, Any]], dates: Sequence[str]) -> dict[str, Any]:
    """Return the origin of the maps of a series, from those of its pairs.

    Args:
        scenes: Content of each pair's ``scene.json``.
        dates: The dates, one more than pairs.

    Returns:
        ``software``, ``model`` and ``settings`` of :func:`~tfinet_mm.scenes.provenance.provenance`
        as far as all pairs have the same, and ``dates``: for each its ``date`` and what the
        provenance says of its file. Nothing if a pair has no provenance.
    """
    found = [scene.get('provenance') for scene in scenes]
    if not all(found):
        return {}
    known = [one for one in found if one]
    same = {
        key: known[0][key]
        for key in ('software', 'model', 'settings')
        if all(one.get(key) == known[0].get(key) for one in known) and key in known[0]
    }
    files = [known[0]['before'], *(one['after'] for one in known)]
    return same | dict(
        dates=[dict(date=date) | dict(file) for date, file in zip(dates, files, strict=True)]
    )


def _write_maps(
    out: Path,
    work: Path,
    scene: SceneResults,
    rasters: Iterable[ResultRaster],
    tags: Mapping[str, str],
) -> None:
    for raster in rasters:
        target = out / f'{raster.name}.tif'
        # Before the raster, whose presence means that both are complete.
        write_raster_style(raster, target)
        write_cog(
            work / f'{raster.name}.img',
            target,
            crs=scene.grid.crs,
            transform=scene.grid.transform,
            description=raster.description,
            nodata=raster.nodata,
            colours=raster.colours,
            class_names=raster.class_names,
            tags={'TIFFTAG_SOFTWARE': f'tfinet_mm {__version__}', **tags},
        )


def ramp(number: int) -> list[Colour]:
    """Return a number of colours from dark violet over green to yellow."""
    places = np.linspace(0, len(RAMP) - 1, max(number, 1))
    bands = [np.interp(places, range(len(RAMP)), band) for band in zip(*RAMP, strict=True)]
    return [
        (int(red), int(green), int(blue)) for red, green, blue in zip(*np.round(bands), strict=True)
    ]


@dataclass
class Row:
    """Row of the table.

    Attributes:
        what: Kind of the area.
        first: Date at which the interval begins, or the date that the area is about.
        last: Date at which it ends.
        old: Class before.
        new: Class after.
        area: In hectares, or in pixels where the scene has no CRS.
        pixels: Number of pixels.
    """

    what: str
    first: str
    last: str
    old: str
    new: str
    area: float
    pixels: int


def _rows(scenes: Sequence[SceneResults], dates: Sequence[str], sums: SeriesSums) -> Iterator[Row]:
    classes, number = scenes[0].classes.land_cover, len(scenes)
    known = [scene.areas() for scene in scenes]
    scale = 1 if known[0].unit == 'pixels' else SQUARE_METRES_A_HECTARE

    def row(
        what: str, span: tuple[str, str], total: Sums, index: Any, old: str = '', new: str = ''
    ) -> Row:
        area, pixels = (float(part[index].sum()) for part in (total.areas, total.pixels))
        return Row(what, *span, old, new, area / scale, int(pixels))

    for index, (areas, span) in enumerate(zip(known, pairwise(dates), strict=True)):
        yield from _interval_rows(areas, *span)
        yield row('first change', span, sums.when, index + 1)
    codes = np.arange(len(classes) ** 2)
    differ = codes // len(classes) != codes % len(classes)
    for date, total in zip(dates[1:-1], sums.covers, strict=True):
        for code in codes[differ]:
            sides = classes[code // len(classes)], classes[code % len(classes)]
            yield row('contradiction', (date, date), total, code, *sides)
        yield row('all contradictions', (date, date), total, differ)
        yield row('with both predictions', (date, date), total, slice(None))
    whole = dates[0], dates[-1]
    for times in range(number + 1):
        name = f'changed {times} time{"" if times == 1 else "s"}'
        yield row(name, whole, sums.times, times)
    yield row('not seen', whole, sums.times, number + 1)


def _interval_rows(areas: FromToAreas, first: str, last: str) -> Iterator[Row]:
    for i, old in enumerate(areas.classes):
        for j, new in enumerate(areas.classes):
            numbers = float(areas.matrix[i, j]), int(areas.pixels[i, j])
            yield Row('changed', first, last, old, new, *numbers)
    labels = dict(changed='all changed', unchanged='unchanged', not_seen='not seen')
    totals = areas.totals()
    for name, label in labels.items():
        yield Row(label, first, last, '', '', *totals[name])


def _write_table(path: Path, rows: Sequence[Row], in_pixels: bool) -> None:
    columns = ['what', 'from_date', 'to_date', 'from', 'to', 'hectares', 'pixels']
    table: list[list[Any]] = [
        [one.what, one.first, one.last, one.old, one.new, one.area, one.pixels] for one in rows
    ]
    if in_pixels:
        columns, table = (
            [*columns[:5], 'pixels'],
            [[*line[:5], line[6]] for line in table],
        )
    with whole_file(path) as partial, partial.open('w', encoding='utf-8', newline='') as file:
        csv.writer(file).writerows([columns, *table])


def _summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows that are totals, for ``series.json``."""
    return [
        dict(what=one.what, from_date=one.first, to_date=one.last, area=one.area, pixels=one.pixels)
        for one in rows
        if not one.old
    ]
