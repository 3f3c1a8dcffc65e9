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
from tfinet_mm.scenes.validity import CODES, REASONS, STATES, UNKNOWN, codes_of
from tfinet_mm.utils.files import whole_file

SQUARE_METRES_A_HECTARE = 10_000


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

    def by_class(self) -> list[dict[str, Any]]:
        """Return for each class the area lost to others, gained from others, and the net gain.

        Returns:
            Dictionaries with the keys ``name``, ``lost``, ``gained``, ``net``, and the same in
            pixels as ``lost_pixels``, ``gained_pixels``, ``net_pixels``.
        """
        parts: dict[str, np.ndarray] = {}
        for ending, matrix in (('', self.matrix), ('_pixels', self.pixels)):
            moved = matrix - np.diag(np.diag(matrix))
            lost, gained = moved.sum(1), moved.sum(0)
            parts |= {
                f'lost{ending}': lost,
                f'gained{ending}': gained,
                f'net{ending}': gained - lost,
            }
        return [
            {'name': name} | {key: values[index].item() for key, values in parts.items()}
            for index, name in enumerate(self.classes)
        ]

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
        said = f'{self.not_seen:,.{digits}f} {self.unit} ({self.not_seen_percent:.1f} %)'
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
        return cls(
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


def from_to_areas(
    transition: PathLike,
    classes: tuple[str, ...],
    nodata: int,
    pixel_areas: PixelAreas,
    block_pixels: int = BLOCK_PIXELS,
    valid: PathLike | None = None,
) -> FromToAreas:
    """Add up a raster of transitions, a block of rows at a time.

    Args:
        transition: Raster of :func:`tfinet_mm.scenes.result_rasters.transition_codes`.
        classes: The K land-cover classes.
        nodata: Code of pixels without data.
        pixel_areas: Areas of the pixels of its grid.
        block_pixels: Pixels of a block.
        valid: Raster of the codes of :mod:`tfinet_mm.scenes.validity`, for the reasons.

    Raises:
        MissingExtraError: rasterio is not installed.
        SceneError: The raster is not of the grid's size, or holds codes that these classes
            don't have.
    """
    grid = pixel_areas.grid
    most = len(classes) ** 2
    counts = np.zeros(most + 2, np.int64)
    sums = np.zeros(most + 2)
    why_counts, why_sums = np.zeros(CODES, np.int64), np.zeros(CODES)
    with ExitStack() as files:
        raster = files.enter_context(open_raster(transition))
        check_same_size(transition, raster, grid.height, grid.width)
        why_raster = None if valid is None else files.enter_context(open_raster(valid))
        if valid is not None:
            check_same_size(valid, why_raster, grid.height, grid.width)
        for top, rows in row_blocks(grid.height, grid.width, block_pixels):
            codes = read_rows(raster, top, rows).astype(np.intp)
            unknown = codes == nodata
            largest = codes.max(initial=0, where=~unknown)
            if largest > most:
                raise SceneError(
                    f'{transition} holds the code {largest}, expected 0 to {most} for '
                    f'{len(classes)} classes, or {nodata}; give the classes it was made with'
                )
            codes[unknown] = most + 1
            counts += np.bincount(codes.ravel(), minlength=most + 2)
            why = None
            if why_raster is not None and unknown.any():
                why = read_rows(why_raster, top, rows)[unknown]
                why_counts += np.bincount(why, minlength=CODES)
            if pixel_areas.constant is None:
                area = np.broadcast_to(pixel_areas.rows(top, rows), codes.shape)
                sums += np.bincount(codes.ravel(), area.ravel(), minlength=most + 2)
                if why is not None:
                    why_sums += np.bincount(why, area[unknown], minlength=CODES)
    if pixel_areas.constant is not None:
        sums += counts * pixel_areas.constant
        why_sums += why_counts * pixel_areas.constant
    pixels = pixel_areas.method == 'pixels'
    if not pixels:
        sums /= SQUARE_METRES_A_HECTARE
        why_sums /= SQUARE_METRES_A_HECTARE
    # Codes of unknown reasons say nothing.
    known = valid is not None and not why_counts[UNKNOWN]
    reasons = {name: codes_of(name) for name in (REASONS if known else ())}
    square = len(classes), len(classes)
    return FromToAreas(
        classes=tuple(classes),
        unit='pixels' if pixels else 'ha',
        method=pixel_areas.method,
        distortion=pixel_areas.distortion,
        matrix=sums[1:-1].reshape(square),
        pixels=counts[1:-1].reshape(square),
        unchanged=float(sums[0]),
        unchanged_pixels=int(counts[0]),
        not_seen=float(sums[-1]),
        not_seen_pixels=int(counts[-1]),
        reasons={
            name: (float(why_sums[found].sum()), int(why_counts[found].sum()))
            for name, found in reasons.items()
        },
    )
