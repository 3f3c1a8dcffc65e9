"""Read the quality band of a date, such as a map of clouds, on the grid of a scene."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike, Window
from tfinet_mm.scenes.areas import interpolate_rows
from tfinet_mm.scenes.bad_values import EXPECTED, BadValues, read_bad_values
from tfinet_mm.scenes.grid import (
    PIXEL_TOLERANCE,
    SceneGrid,
    apply_affine,
    beside,
    check_grid,
    near_all,
    outline_in,
    transform_points,
)
from tfinet_mm.scenes.sources import open_source, raster_window, unusual_place
from tfinet_mm.scenes.validity import DATES

# Pixels between points that are transformed to another CRS; between them, places are interpolated.
MESH = 32
BAND = re.compile(r'(.+):(\d+)')


class QualitySource(NamedTuple):
    """File and band of a quality band.

    Attributes:
        path: The file.
        band: The band, counted from 1; None for the only one.
    """

    path: PathLike
    band: int | None = None


def quality_source(given: Any) -> QualitySource:
    """Return the file and the band that an option names.

    Args:
        given: A file, ``FILE:BAND``, or (file, band).

    Raises:
        SceneError: It is none of these.

    Example:
        >>> quality_source('QA.tif'), quality_source('20m.tif:4').band
        (QualitySource(path='QA.tif', band=None), 4)
    """
    if isinstance(given, tuple | list) and len(given) == 2:
        path, band = given
        with contextlib.suppress(TypeError, ValueError):
            return QualitySource(os.fspath(path), None if band is None else int(band))
    elif isinstance(given, str | os.PathLike):
        found = BAND.fullmatch(os.fspath(given))
        if found and not Path(given).exists():
            return QualitySource(found[1], int(found[2]))
        return QualitySource(os.fspath(given))
    raise SceneError(
        f'expected quality (--quality) as a file, FILE:BAND or (file, band), got {given!r}'
    )


def quality_sources(option: Any) -> dict[str, QualitySource]:
    """Return the quality band of each date, by ``before_quality`` and ``after_quality``.

    Example:
        >>> quality_sources({'after': ('QA.tif', 2)})
        {'after_quality': QualitySource(path='QA.tif', band=2)}
    """
    by_date = option if isinstance(option, Mapping) else dict.fromkeys(DATES, option)
    return {
        f'{date}_quality': quality_source(by_date[date])
        for date in DATES
        if by_date.get(date) is not None
    }


class QualityBand:
    """Open quality band of a date.

    Args:
        role: 'before' or 'after'.
        source: Its file and band, see :func:`quality_source`.
        bad: The bad values, see :func:`~tfinet_mm.scenes.bad_values.read_bad_values`.
        files: Closes what is opened.

    Attributes:
        grid: Its pixels on the ground.
        band: Its band.
        bad: The bad values.

    Raises:
        FileNotFoundError: There is no such file.
        SceneError: It has several bands and none is named, or no bad values are given.
    """

    def __init__(self, role: str, source: Any, bad: Any, files: contextlib.ExitStack) -> None:
        path, band = quality_source(source)
        self.path, self.name = path, f'the quality band of {role} ({path})'
        if bad is None:
            raise SceneError(
                f'{self.name} needs the values that count as bad, with bad_values (--bad-values): '
                f'{EXPECTED}'
            )
        self.bad: BadValues = read_bad_values(bad)
        self._raster = open_source(f'quality of {role}', path)
        files.callback(self._raster.close)
        raster = self._raster
        self.band = (1 if raster.count == 1 else 0) if band is None else band
        if not 1 <= self.band <= raster.count:
            asked = 'none was named' if band is None else f'band {band} was asked for'
            raise SceneError(
                f'{self.name} has the bands 1 to {raster.count}, {asked}; name one: FILE:BAND'
            )
        self.bad.check(raster.dtypes[self.band - 1], self.name)
        self._fill = raster.nodatavals[self.band - 1]
        self.placed_by = unusual_place(raster)
        self.grid = SceneGrid(raster.crs or None, raster.transform, raster.width, raster.height)

    def place(self, stored: SceneGrid, used: SceneGrid) -> None:
        """Take the georeference that the image of its date is used with.

        Args:
            stored: Grid of the image as its file states it.
            used: The grid that it is used with: another CRS may be stated, or the files may be
                taken to show the same pixels.

        Raises:
            SceneError: The band has no georeference of its own, and other pixels than the image.
        """
        own = self.grid
        unplaced = own.transform.is_identity or own.transform == stored.transform
        if own.crs is None and unplaced and own.in_pixels(stored.width, stored.height) == own:
            self.grid = used
            return
        check_grid(own, self.name)
        if (
            self.placed_by
            or (own.crs is None and own.crs != stored.crs)
            or (own.crs is not None and used.crs is None)
        ):
            found = self.placed_by or ('no CRS' if own.crs is None else 'a CRS')
            raise SceneError(
                f'{self.name} has {found} and {own.width} x {own.height} pixels, its image '
                f'{stored.width} x {stored.height}; expected a georeference as that of the image, '
                'or the same pixels: warp it first (gdalwarp -r near -t_srs EPSG:...)'
            )
        if own.crs == stored.crs:
            self.grid = replace(own, crs=used.crs)
            if used.transform != stored.transform:
                matrices = (
                    np.array(one.transform[:9], float).reshape(3, 3) for one in (used, stored, own)
                )
                new, old, mine = matrices
                moved = (new @ np.linalg.inv(old) @ mine)[:2].ravel().tolist()
                self.grid = replace(self.grid, transform=type(own.transform)(*moved))

    def check_cover(self, target: SceneGrid) -> None:
        """Refuse a band of another place than the scene's.

        Raises:
            SceneError: It shares no pixel with ``target``.
        """
        self.grid = beside(self.grid, target)
        columns, rows = outline_in(target, self.grid)
        if (
            not columns.size
            or min(columns.max(), rows.max()) <= 0
            or columns.min() >= target.width
            or rows.min() >= target.height
        ):
            raise SceneError(
                f'{self.name} covers {self.grid.describe()}, which lies outside the scene, '
                f'{target.describe()}; give the quality band of this place'
            )

    def read(self, target: SceneGrid, window: Window) -> np.ndarray:
        """Return where a pixel is of bad quality.

        Args:
            target: A grid.
            window: A part of it.

        Returns:
            (h, w) bool: True where any pixel of the band that overlaps the pixel of ``target`` is
            bad, and where the band has none.

        Raises:
            SceneError: The file is damaged, or holds values that the band can't have.
        """
        columns, rows = self._corners(target, window)
        first_column, end_column, no_column = _spans(columns, self.grid.width)
        first_row, end_row, no_row = _spans(rows, self.grid.height)
        outside = no_column | no_row
        inside = ~outside
        if not inside.any():
            return outside
        known = ~no_column, ~no_row
        left, top = (
            int(one[where].min())
            for one, where in zip((first_column, first_row), known, strict=True)
        )
        right, bottom = (
            int(one[where].max()) for one, where in zip((end_column, end_row), known, strict=True)
        )
        bad = self._bad(Window(left, top, right - left, bottom - top))
        # sums[i, j] counts the bad pixels above row i and left of column j.
        sums = np.zeros((bad.shape[0] + 1, bad.shape[1] + 1), np.int64)
        np.cumsum(bad.cumsum(0, dtype=np.int64), 1, out=sums[1:, 1:])
        above, below, before, behind = (
            np.clip(one - start, 0, length)
            for one, start, length in (
                *((one, top, bad.shape[0]) for one in (first_row, end_row)),
                *((one, left, bad.shape[1]) for one in (first_column, end_column)),
            )
        )
        if len(before) == above.shape[1] == 1:
            # The same columns in all rows.
            of_rows = sums[below[:, 0]] - sums[above[:, 0]]
            counts = of_rows[:, behind[0]] - of_rows[:, before[0]]
        else:
            counts = sums[below, behind] - sums[above, behind]
            counts += sums[above, before] - sums[below, before]
        return outside | (counts > 0)

    def _bad(self, box: Window) -> np.ndarray:
        from rasterio.errors import RasterioError

        try:
            values = self._raster.read(self.band, window=raster_window(box))
        except RasterioError as error:
            raise SceneError(
                f'{self.name} can not be read: band {self.band} in the window left {box.left}, '
                f'top {box.top}, width {box.width}, height {box.height} (pixels). GDAL says: '
                f'{error}. Copy or download it again'
            ) from error
        bad = self.bad.find(values)
        if self.bad.most is not None:
            beyond = values > self.bad.most
            if self._fill is not None:
                bad |= values == self._fill
                beyond &= values != self._fill
            if beyond.any():
                raise SceneError(
                    f'{self.name} holds {values[beyond].max()} in band {self.band}, expected '
                    f'values from 0 to {self.bad.most}; name its band (FILE:BAND), or its own bad '
                    'values (--bad-values)'
                )
        return bad

    def _corners(self, target: SceneGrid, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners of pixels in columns and rows of the band.

        (h + 1, w + 1) both; or (1, w + 1) and (h + 1, 1) where columns stay columns.
        """
        columns = np.arange(window.left, window.left + window.width + 1)
        rows = np.arange(window.top, window.top + window.height + 1)
        if target.crs == self.grid.crs:
            grids = target.transform, self.grid.transform
            if all(one.b == one.d == 0 for one in grids):
                left, _ = self._locate(target, columns, rows[:1])
                _, top = self._locate(target, columns[:1], rows)
                return left, top
            return self._locate(target, columns, rows)
        # The same points whatever the window, so that a pixel doesn't depend on it.
        nodes = [
            np.arange(line[0] // MESH, line[-1] // MESH + 2) * MESH for line in (rows, columns)
        ]
        found = self._locate(target, nodes[1], nodes[0])
        across = (interpolate_rows(one, nodes[0], rows) for one in found)
        left, top = (interpolate_rows(one.T, nodes[1], columns).T for one in across)
        return left, top

    def _locate(
        self, target: SceneGrid, columns: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        grid = np.meshgrid(columns, rows)
        x, y = apply_affine(target.transform, *grid)
        if target.crs != self.grid.crs:
            shape = x.shape
            x, y = transform_points(target.crs, self.grid.crs, x.ravel(), y.ravel())
            x, y = near_all(self.grid, x, y)
            x, y = x.reshape(shape), y.reshape(shape)
        left, top = apply_affine(~self.grid.transform, x, y)
        return left, top


def _spans(corners: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first pixel that each pixel overlaps, the one after the last, and where none."""
    low = high = corners
    for axis in range(2):
        if corners.shape[axis] > 1:
            ends = slice(None, -1), slice(1, None)
            cuts = [(slice(None),) * axis + (one,) for one in ends]
            low = np.minimum(low[cuts[0]], low[cuts[1]])
            high = np.maximum(high[cuts[0]], high[cuts[1]])
    known = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(known, low, -1.0), np.where(known, high, -1.0)
    first = np.floor(low + PIXEL_TOLERANCE)
    end = np.maximum(np.ceil(high - PIXEL_TOLERANCE), first + 1)
    first, end = np.clip(first, 0, length), np.clip(end, 0, length)
    return first.astype(np.intp), end.astype(np.intp), ~known | (first >= end)
