"""Divide the maps of a predicted scene into strata, which are also the classes of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import AssessmentError
from tfinet_mm.io.rasters import raw_writer, read_rows, row_blocks
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.cells import cell_numbers
from tfinet_mm.scenes.result_rasters import NEW_COVER_PART, Colour
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.structures import ClassTable

OTHER = {True: 'other change', False: 'other unchanged'}
OTHER_COLOURS: dict[bool, Colour] = {True: (255, 0, 255), False: (217, 217, 217)}
PALE = 0.5
"""Part of white in the colours of unchanged classes, which a change to the same class lacks."""
MOST_STRATA = 255
NOT_SEEN = 0
"""Code of pixels without data; strata are coded from 1, as AcATaMa and QGIS expect."""


@dataclass(frozen=True)
class Stratum:
    """Part of a map, and class of a label.

    Attributes:
        name: Its name, such as 'unchanged water' or 'water to town'.
        changed: Whether it changed.
        members: Classes before and after, 1..K, that it holds; one, or several rare ones.
        colour: RGB.
    """

    name: str
    changed: bool
    members: tuple[tuple[int, int], ...]
    colour: Colour


@dataclass(frozen=True)
class Strata:
    """Strata of a scene in the order of their codes, from 1; each pixel that is seen is in one.

    Attributes:
        classes: The K land-cover classes.
        items: The strata, and after them the classes of labels that the map has nowhere.
        mapped: Number of strata, H.
    """

    classes: tuple[str, ...]
    items: tuple[Stratum, ...]
    mapped: int

    @property
    def names(self) -> list[str]:
        """Return the names of the classes of labels, those of the strata first."""
        return [one.name for one in self.items]

    def code(self, changed: bool, old: int, new: int) -> int:
        """Return the code of a change, or of no change, with its classes 1..K."""
        return next(
            code
            for code, one in enumerate(self.items, start=1)
            if one.changed == changed and (old, new) in one.members
        )

    def table(self) -> np.ndarray:
        """Return the code of each number of :func:`cell_numbers` as uint8."""
        number = len(self.classes)
        codes = np.zeros(number + number**2 + 1, np.uint8)
        for code, one in enumerate(self.items, start=1):
            for old, new in one.members:
                place = number + (old - 1) * number + new - 1 if one.changed else old - 1
                codes[place] = code
        return codes

    def as_json(self) -> list[dict[str, Any]]:
        """Return the strata as plain values."""
        return [
            dict(
                code=code,
                name=one.name,
                changed=one.changed,
                members=[list(member) for member in one.members],
                colour=list(one.colour),
            )
            for code, one in enumerate(self.items, start=1)
        ]

    @classmethod
    def from_json(
        cls, classes: Sequence[str], values: Sequence[Mapping[str, Any]], mapped: int
    ) -> Strata:
        """Return the strata of the values of :meth:`as_json`."""
        items = [
            Stratum(
                one['name'],
                one['changed'],
                tuple((old, new) for old, new in one['members']),
                tuple(one['colour']),
            )
            for one in values
        ]
        return cls(tuple(classes), tuple(items), mapped)


@dataclass(frozen=True, eq=False)
class CellCounts:
    """Pixels and areas of a scene by :func:`cell_numbers`, those not seen last.

    Attributes:
        pixels: Pixels, int64 (K + K K + 1,).
        areas: Their areas, float64 of that shape.
        unit: 'ha' or 'pixels'.
        largest: Greatest area of a pixel, in square metres or pixels.
    """

    pixels: np.ndarray
    areas: np.ndarray
    unit: str
    largest: float


def count_cells(results: SceneResults, pixel_areas: PixelAreas) -> CellCounts:
    """Count the pixels of a scene by what its maps say, a block of rows at a time."""
    number = results.classes.num_classes
    length = number + number**2 + 1
    pixels = np.zeros(length, np.int64)
    sums: np.ndarray = np.zeros(length)
    largest = 0.0
    for top, cells in _cells(results):
        pixels += np.bincount(cells.ravel(), minlength=length)
        if pixel_areas.constant is None:
            areas = np.broadcast_to(pixel_areas.rows(top, len(cells)), cells.shape)
            sums += np.bincount(cells.ravel(), areas.ravel(), minlength=length)
            largest = max(largest, float(areas.max()))
    if pixel_areas.constant is not None:
        sums, largest = pixels * pixel_areas.constant, pixel_areas.constant
    in_pixels = pixel_areas.method == 'pixels'
    return CellCounts(
        pixels, sums if in_pixels else sums / 10_000, 'pixels' if in_pixels else 'ha', largest
    )


def choose_strata(table: ClassTable, areas: np.ndarray, min_share: float) -> Strata:
    """Make a stratum of each unchanged class and each transition, and merge rare ones.

    Args:
        table: The K + 1 classes, the first that of unchanged pixels.
        areas: Area of each of :func:`cell_numbers` (K + K K + 1,), those not seen last.
        min_share: Share of the area that is seen, 0..1; strata below it become 'other change' and
            'other unchanged'. Labels may need classes that the map lacks: they belong to these too.

    Raises:
        AssessmentError: Nothing is seen, the share is out of range, or there are too many strata.
    """
    if not 0 <= min_share < 1:
        raise AssessmentError(f'expected a least share of a stratum in 0..1, got {min_share}')
    seen = float(areas[:-1].sum())
    if seen == 0:
        raise AssessmentError('no pixel is seen on both dates, so that there is nothing to assess')
    items: list[Stratum] = []
    nowhere: list[Stratum] = []
    for changed, cells in _all_cells(table).items():
        own = [cell for cell in cells if areas[cell] > 0 and areas[cell] >= min_share * seen]
        rest = [cell for cell in cells if cell not in own]
        if sum(areas[cell] > 0 for cell in rest) == 1:
            # One alone isn't "other" ones.
            lone = next(cell for cell in rest if areas[cell] > 0)
            own = sorted([*own, lone])
            rest.remove(lone)
        items += [_single(table, changed, cells[cell]) for cell in own]
        if rest:
            members = tuple(cells[cell] for cell in rest)
            other = Stratum(OTHER[changed], changed, members, OTHER_COLOURS[changed])
            if len(members) == 1:
                other = _single(table, changed, members[0])
            (items if areas[rest].any() else nowhere).append(other)
    every = (*items, *nowhere)
    if len(every) > MOST_STRATA:
        raise AssessmentError(
            f'got {len(every)} strata, expected at most {MOST_STRATA}; merge more of the rare '
            'ones (--min-share)'
        )
    return Strata(tuple(table.land_cover), every, len(items))


def _all_cells(table: ClassTable) -> dict[bool, dict[int, tuple[int, int]]]:
    """Return the classes of each cell number, of unchanged and changed ones."""
    number = table.num_classes
    classes = range(1, number + 1)
    pairs = [(old, new) for old in classes for new in classes]
    return {
        False: {one - 1: (one, one) for one in classes},
        True: {number + place: pair for place, pair in enumerate(pairs)},
    }


def _single(table: ClassTable, changed: bool, member: tuple[int, int]) -> Stratum:
    old, new = member
    first, second = table.palette[old], table.palette[new]
    if not changed:
        return Stratum(
            f'unchanged {table.names[old]}', False, (member,), _mixed(first, (255,) * 3, PALE)
        )
    colour = _mixed(first, second, NEW_COVER_PART)
    return Stratum(f'{table.names[old]} to {table.names[new]}', True, (member,), colour)


def _mixed(first: Sequence[int], second: Sequence[int], part: float) -> Colour:
    red, green, blue = (
        round((1 - part) * one + part * other) for one, other in zip(first, second, strict=True)
    )
    return red, green, blue


def write_raw_strata(results: SceneResults, strata: Strata, path: Path) -> None:
    """Write the code of each pixel, 0 where not seen, to a raw raster of uint8 (``.img``)."""
    table = strata.table()
    grid = results.grid
    with raw_writer(path, 'uint8', grid.height, grid.width) as write:
        for _, cells in _cells(results):
            write(table[cells])


def _cells(results: SceneResults) -> Any:
    """Yield the first row and the cell numbers (rows, width) of blocks of rows."""
    number = results.classes.num_classes
    nodata = int(results.rasters['transition'].nodata)
    with ExitStack() as opened:
        codes, covers = (
            opened.enter_context(results.open(name)) for name in ('transition', 'land_cover_from')
        )
        for top, rows in row_blocks(results.grid.height, results.grid.width):
            yield (
                top,
                cell_numbers(
                    read_rows(codes, top, rows), read_rows(covers, top, rows), number, nodata
                ),
            )
