"""Sum up the areas of a scene's transitions, from each class to each class."""

from __future__ import annotations

import csv
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import (
    BLOCK_PIXELS,
    PathLike,
    check_same_size,
    open_raster,
    read_rows,
    row_blocks,
)
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.cells import cell_numbers
from tfinet_mm.scenes.validity import CODES, REASONS, STATES, UNKNOWN, codes_of
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.numbers import percent

SQUARE_METRES_A_HECTARE = 10_000
CELLS_PIXELS = 1 << 15


@dataclass(frozen=True)
class FromToAreas:
    """Areas and numbers of pixels by transition.

    Attributes:
        classes: The K land-cover classes.
        unit: 'ha', or 'pixels' for a scene without CRS.
        method: Method of the areas: 'planar', 'geodesic' or 'pixels'.
        distortion: Largest relative difference of planar from geodesic areas in the scene; None
            where either is undefined.
        matrix: (K, K) float64: the area that was class row before and is class column after,
            among changed pixels. The diagonal holds those that the network calls changed though
            their class is the same.
        pixels: (K, K) int64, the same in pixels.
        unchanged: Area that didn't change.
        unchanged_pixels: The same in pixels.
        not_seen: Area that isn't seen on both dates.
        not_seen_pixels: The same in pixels.
        reasons: Area and pixels of it by reason, with the names of
            :data:`tfinet_mm.scenes.validity.REASONS`; a pixel may have one on each date. Empty
            where they are unknown.
        unchanged_classes: (K,) float64: the unchanged area of each class, by the land cover
            before; None in scenes of earlier versions, which did not store it.
        unchanged_classes_pixels: The same in pixels, int64.
    """

    classes: tuple[str, ...]
    unit: str
    method: str
    distortion: float | None
    matrix: np.ndarray
    pixels: np.ndarray
    unchanged: float
    unchanged_pixels: int
    not_seen: float
    not_seen_pixels: int
    reasons: dict[str, tuple[float, int]] = field(default_factory=dict)
    unchanged_classes: np.ndarray | None = None
    unchanged_classes_pixels: np.ndarray | None = None

    def by_class(self) -> list[dict[str, Any]]:
        """Return for each class its area on both dates, and its losses and gains.

        An unchanged pixel has the land cover before on both dates, so that ``after`` is
        ``before`` plus ``net``, whatever the land cover after says where nothing changed.

        Returns:
            Dictionaries with the keys ``name``; ``before`` and ``after``, the area on each date;
            ``lost`` to other classes, ``gained`` from others, and ``net``, the gain less the
            loss; ``same``, the area that changed but kept this class, such as a building in place
            of another, which is in no loss or gain. With ``_pixels`` they are in pixels.
            ``net_percent`` is ``net`` in percent of ``before``, or None where that is 0. Without
            :attr:`unchanged_classes`, ``before``, ``after`` and ``net_percent`` are left out.
        """
        parts: dict[str, np.ndarray] = {}
        for ending, matrix, kept in (
            ('', self.matrix, self.unchanged_classes),
            ('_pixels', self.pixels, self.unchanged_classes_pixels),
        ):
            same = np.diag(matrix)
            lost, gained = matrix.sum(1) - same, matrix.sum(0) - same
            if kept is not None:
                before = kept + matrix.sum(1)
                parts |= {f'before{ending}': before, f'after{ending}': before + gained - lost}
            parts |= {
                f'lost{ending}': lost,
                f'gained{ending}': gained,
                f'net{ending}': gained - lost,
                f'same{ending}': same,
            }
        rows = [
            {'name': name} | {key: values[index].item() for key, values in parts.items()}
            for index, name in enumerate(self.classes)
        ]
        for row in rows if 'before' in parts else ():
            row['net_percent'] = 100 * row['net'] / row['before'] if row['before'] else None
        return rows

    def totals(self) -> dict[str, tuple[float, int]]:
        """Return area and pixels that changed, that didn't, that aren't seen, and in total."""
        changed = float(self.matrix.sum()), int(self.pixels.sum())
        unchanged = self.unchanged, self.unchanged_pixels
        not_seen = self.not_seen, self.not_seen_pixels
        area, pixels = (sum(parts) for parts in zip(changed, unchanged, not_seen, strict=True))
        total = area, int(pixels)
        return dict(changed=changed, unchanged=unchanged, not_seen=not_seen, total=total)

    @property
    def not_seen_percent(self) -> float:
        """Return the area that isn't seen in percent of the total."""
        total = self.totals()['total'][0]
        return 100 * self.not_seen / total if total else 0.0

    def describe_not_seen(self) -> str:
        """Return the area that isn't seen and the reasons as text; empty where all is seen.

        Example:
            >>> areas = FromToAreas(
            ...     ('water',), 'ha', 'planar', 0.0, np.zeros((1, 1)), np.zeros((1, 1), int),
            ...     6.0, 600, 2.0, 200,
            ...     {'before_no_data': (0.5, 50), 'after_bad_quality': (1.5, 150)},
            ... )
            >>> areas.describe_not_seen()
            '2.00 ha (25.0 %): no data before 0.50, bad quality after 1.50'
        """
        if not self.not_seen_pixels:
            return ''
        digits = 0 if self.unit == 'pixels' else 2
        reasons = [
            f'{_label(name)} {area:,.{digits}f}'
            for name, (area, pixels) in self.reasons.items()
            if pixels
        ]
        said = f'{self.not_seen:,.{digits}f} {self.unit} ({percent(self.not_seen_percent)})'
        return f'{said}: {", ".join(reasons)}' if reasons else said

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values, as in ``areas.json``."""
        values: dict[str, Any] = dict(
            unit=self.unit,
            method=self.method,
            distortion=self.distortion,
            classes=list(self.classes),
            from_to=self.matrix.tolist(),
            from_to_pixels=self.pixels.tolist(),
            by_class=self.by_class(),
            unchanged_classes=_listed(self.unchanged_classes),
            unchanged_classes_pixels=_listed(self.unchanged_classes_pixels),
            **{name: dict(area=area, pixels=n) for name, (area, n) in self.totals().items()},
        )
        values['not_seen'] |= dict(
            percent=self.not_seen_percent,
            reasons={name: dict(area=area, pixels=n) for name, (area, n) in self.reasons.items()},
        )
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> FromToAreas:
        """Return the areas of the values of :meth:`as_json`.

        Raises:
            KeyError: A part is missing.
        """
        kept = values.get('unchanged_classes'), values.get('unchanged_classes_pixels')
        return cls(
            unchanged_classes=None if kept[0] is None else np.array(kept[0], np.float64),
            unchanged_classes_pixels=None if kept[1] is None else np.array(kept[1], np.int64),
            classes=tuple(values['classes']),
            matrix=np.array(values['from_to'], np.float64),
            pixels=np.array(values['from_to_pixels'], np.int64),
            **{key: values[key] for key in ('unit', 'method', 'distortion')},
            **{key: values[key]['area'] for key in ('unchanged', 'not_seen')},
            **{f'{key}_pixels': values[key]['pixels'] for key in ('unchanged', 'not_seen')},
            reasons={
                name: (one['area'], one['pixels'])
                for name, one in values['not_seen']['reasons'].items()
            },
        )

    def write(self, folder: str | Path) -> None:
        """Write ``areas.csv`` and then ``areas.json``; each appears once it is complete.

        The table has a row for each pair of classes, for the loss and the gain of each class, and
        for the totals and the reasons of what isn't seen, with the columns ``what``, ``from``,
        ``to``, the unit and ``pixels``.
        """
        folder = Path(folder)
        rows: list[list[Any]] = [
            ['changed', old, new, self.matrix[i, j].item(), self.pixels[i, j].item()]
            for i, old in enumerate(self.classes)
            for j, new in enumerate(self.classes)
        ]
        for one in self.by_class():
            name = one['name']
            for what, sides in (('lost', (name, '')), ('gained', ('', name)), ('net', ('', name))):
                rows.append([what, *sides, one[what], one[f'{what}_pixels']])
        labels = dict(
            changed='all changed', unchanged='unchanged', not_seen='not seen', total='total'
        )
        rows += [[labels[name], '', '', *both] for name, both in self.totals().items()]
        rows += [
            [f'not seen, {_label(name)}', '', '', *both] for name, both in self.reasons.items()
        ]
        columns = ['what', 'from', 'to', 'hectares', 'pixels']
        if self.unit == 'pixels':
            columns, rows = [*columns[:3], 'pixels'], [[*row[:3], row[4]] for row in rows]
        with (
            whole_file(folder / 'areas.csv') as partial,
            partial.open('w', encoding='utf-8', newline='') as file,
        ):
            csv.writer(file).writerows([columns, *rows])
        with whole_file(folder / 'areas.json') as partial:
            text = json.dumps(self.as_json(), indent=2, ensure_ascii=False)
            partial.write_text(text + '\n', encoding='utf-8')


def _label(reason: str) -> str:
    date, state = REASONS[reason]
    return f'{STATES[state]} {date}'


def _listed(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else values.tolist()


def from_to_areas(
    transition: PathLike,
    land_cover_from: PathLike,
    classes: tuple[str, ...],
    nodata: int,
    pixel_areas: PixelAreas,
    block_pixels: int = BLOCK_PIXELS,
    valid: PathLike | None = None,
) -> FromToAreas:
    """Add up a raster of transitions, a block of rows at a time.

    Args:
        transition: Raster of :func:`tfinet_mm.scenes.result_rasters.transition_codes`.
        land_cover_from: Raster of the land cover before, 1..K, of the same size.
        classes: The K land-cover classes.
        nodata: Code of pixels without data.
        pixel_areas: Areas of the pixels of its grid.
        block_pixels: Pixels of a block.
        valid: Raster of the codes of :mod:`tfinet_mm.scenes.validity`, for the reasons.

    Raises:
        MissingExtraError: rasterio is not installed.
        SceneError: A raster is not of the grid's size, or holds codes that these classes don't
            have.
    """
    grid = pixel_areas.grid
    number = len(classes)
    length = number + number**2 + 1
    counts, why_counts = np.zeros(length, np.int64), np.zeros(CODES, np.int64)
    sums, why_sums = np.zeros(length), np.zeros(CODES)
    with ExitStack() as files:
        raster, covers = (
            files.enter_context(open_raster(path)) for path in (transition, land_cover_from)
        )
        check_same_size(transition, raster, grid.height, grid.width)
        check_same_size(land_cover_from, covers, grid.height, grid.width)
        why_raster = None if valid is None else files.enter_context(open_raster(valid))
        if valid is not None:
            check_same_size(valid, why_raster, grid.height, grid.width)
        for top, rows in row_blocks(grid.height, grid.width, block_pixels):
            codes, cover = read_rows(raster, top, rows), read_rows(covers, top, rows)
            _check_codes(transition, codes, number**2, number, nodata)
            _check_codes(land_cover_from, cover, number, number, None)
            # A few rows at a time stay in the processor's cache.
            for first, some in row_blocks(rows, grid.width, CELLS_PIXELS):
                part = slice(first, first + some)
                cells = cell_numbers(codes[part], cover[part], number, nodata)
                counts += np.bincount(cells.ravel(), minlength=length)
            unknown, why = codes == nodata, None
            if why_raster is not None and unknown.any():
                why = read_rows(why_raster, top, rows)[unknown]
                why_counts += np.bincount(why, minlength=CODES)
            if pixel_areas.constant is None:
                area = np.broadcast_to(pixel_areas.rows(top, rows), codes.shape)
                cells = cell_numbers(codes, cover, number, nodata)
                sums += np.bincount(cells.ravel(), area.ravel(), minlength=length)
                if why is not None:
                    why_sums += np.bincount(why, area[unknown], minlength=CODES)
    if pixel_areas.constant is not None:
        sums += counts * pixel_areas.constant
        why_sums += why_counts * pixel_areas.constant
    if pixel_areas.method != 'pixels':
        why_sums /= SQUARE_METRES_A_HECTARE
    # Codes of unknown reasons say nothing.
    known = valid is not None and not why_counts[UNKNOWN]
    reasons = {name: codes_of(name) for name in (REASONS if known else ())}
    return areas_of_cells(
        classes,
        pixel_areas,
        sums,
        counts,
        {
            name: (float(why_sums[found].sum()), int(why_counts[found].sum()))
            for name, found in reasons.items()
        },
    )


def areas_of_cells(
    classes: tuple[str, ...],
    pixel_areas: PixelAreas,
    sums: np.ndarray,
    counts: np.ndarray,
    reasons: dict[str, tuple[float, int]] | None = None,
) -> FromToAreas:
    """Return areas from sums over the pixels of each of the cells of a scene.

    Args:
        classes: The K land-cover classes.
        pixel_areas: Areas of the pixels.
        sums: Area of each number of :func:`tfinet_mm.scenes.cells.cell_numbers`, in square metres
            or pixels, float64 (K + K K + 1,).
        counts: Pixels of each, int64 of that shape.
        reasons: See :class:`FromToAreas`; None where they are unknown.
    """
    pixels = pixel_areas.method == 'pixels'
    number = len(classes)
    if not pixels:
        sums = sums / SQUARE_METRES_A_HECTARE
    square = number, number
    return FromToAreas(
        classes=tuple(classes),
        unit='pixels' if pixels else 'ha',
        method=pixel_areas.method,
        distortion=pixel_areas.distortion,
        matrix=sums[number:-1].reshape(square),
        pixels=counts[number:-1].reshape(square),
        unchanged=float(sums[:number].sum()),
        unchanged_pixels=int(counts[:number].sum()),
        not_seen=float(sums[-1]),
        not_seen_pixels=int(counts[-1]),
        reasons=reasons or {},
        unchanged_classes=sums[:number],
        unchanged_classes_pixels=counts[:number],
    )


def _check_codes(
    path: PathLike, codes: np.ndarray, most: int, number: int, nodata: int | None
) -> None:
    """Refuse codes that the classes don't have."""
    largest = codes.max(initial=0, where=True if nodata is None else codes != nodata)
    if largest > most:
        ending = '' if nodata is None else f', or {nodata}'
        raise SceneError(
            f'{path} holds the code {largest}, expected 0 to {most} for {number} classes{ending}; '
            'give the classes it was made with'
        )
