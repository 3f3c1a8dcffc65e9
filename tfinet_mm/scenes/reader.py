"""Read two georeferenced scenes, window by window, on one grid."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike, check_window, import_rasterio
from tfinet_mm.scenes.alignment import corrected
from tfinet_mm.scenes.band_colours import both_options, of_few
from tfinet_mm.scenes.date_checks import (
    check_band_order,
    warn_of_bands,
    warn_of_local_systems,
    warn_of_order,
    warn_of_places,
)
from tfinet_mm.scenes.dates import SceneDate
from tfinet_mm.scenes.datum_shifts import warn_of_datums
from tfinet_mm.scenes.grid import (
    SceneGrid,
    apply_affine,
    beside,
    check_systems,
    common_grid,
    near_all,
    transform_points,
)
from tfinet_mm.scenes.quality import QualityBand
from tfinet_mm.scenes.shared_stretch import find_shared_stretch, is_8_bit
from tfinet_mm.scenes.sidecars import crs_file, is_of_viewer
from tfinet_mm.scenes.statements import COLOURS
from tfinet_mm.scenes.stretch import (
    Stretch,
    check_percentiles,
    check_tags,
    describe_stretch,
    tags_differ,
)
from tfinet_mm.scenes.validity import BAD_QUALITY, BOTH_SEEN, NO_DATA, SEEN, combine
from tfinet_mm.scenes.value_ranges import warn_of_empty_dates, warn_of_ranges
from tfinet_mm.utils.places import absolute, gdal_path, is_virtual, name, opening

SAMPLES = 20
"""Rows and columns of points at which it is looked whether a file covers a grid."""


class ScenePair:
    """Two rasters of one place, read in windows of their overlap.

    Only the pixels of a window are read, and a scene on another grid is warped
    while it is read. One thread may use it at a time, as GDAL's data sets; open
    one for each process.

    Args:
        before: The file of the first date; anything that rasterio opens, a file in a zip file
            (``a.zip/b.tif``) and an address (``https://...``) included.
        after: The file of the second.
        grid: The grid of the result: ``'before'``, ``'after'``, or the size of
            a pixel in the units of ``before``'s CRS; see :func:`common_grid`. Or a
            :class:`SceneGrid`, which is taken as it is; pixels outside a scene are not valid.
        bands: Numbers of the bands to read, counted from 1, in the order the
            network takes; or ``{'before': [...], 'after': [...]}``. The default
            is all bands but a transparency (alpha) band, in the stored order.
        stretch: Values that become 0 and 255: ``(low, high)``, one such pair for
            each band, ``'percentiles'`` of each band of both dates together, or
            ``'each-date'`` for percentiles of each date alone; or
            ``{'before': ..., 'after': ...}``, where percentiles are those of the date.
            ``'auto'`` keeps 8-bit values and takes percentiles of both dates of others.
            The default keeps 8-bit values and refuses others.
        percentiles: The percentiles that become 0 and 255. Those of both dates are
            taken from the pixels that both show, those of each date from the whole
            file: from a picture of at most 1024 pixels a side, read from overviews,
            and so the same each time.
        resampling: A name of ``rasterio.enums.Resampling``, for the warped scene.
        before_crs: CRS of ``before``, in place of that of the file, if any.
        after_crs: The same for ``after``.
        nodata: Value of pixels without data, in place of nodata, mask or
            transparency of the files; or ``{'before': ..., 'after': ...}``.
        same_grid: Take pixel (0, 0) of both as the same place and ignore the
            georeference of ``after``; both must be of one size.
        ignore_scale: Take stored numbers as they are, whatever scale and offset
            the bands of the files state.
        correction: Move of ``after`` onto ``before``, six numbers of
            :func:`~tfinet_mm.scenes.alignment.find_correction`.
        quality: The quality band, such as a map of clouds: a file of one band, ``FILE:BAND`` or
            (file, band); or ``{'before': ..., 'after': ...}``. One file counts for both dates.
        bad_values: Its values that count as bad, see
            :func:`~tfinet_mm.scenes.bad_values.read_bad_values`; or
            ``{'before': ..., 'after': ...}``.
        before_correction: The same of ``before``, which an earlier pair of a series found; it
            needs a :class:`SceneGrid`.

    A stretch of both dates, also a :class:`Stretch`, counts in the stored numbers of
    ``before``. Where ``after`` states another scale or offset, its numbers are
    converted to those of ``before``.

    Two files that both lack a CRS count as one pixel grid if size and
    transform are equal, as they are in files without any georeference.

    Attributes:
        grid: The :class:`SceneGrid` of all results.
        bands: Number of bands of each date, B.
        stretches: The :class:`Stretch` of before and after.

    Raises:
        FileNotFoundError: There is no such file.
        MissingExtraError: rasterio is not installed.
        RemoteFileError: A server doesn't answer, or has no such file.
        SceneError: The two don't fit together; the message names the option
            to set.
    """

    def __init__(
        self,
        before: PathLike,
        after: PathLike,
        *,
        grid: str | float | SceneGrid = 'before',
        bands: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
        stretch: str | Sequence[Any] | Mapping[str, Any] | None = None,
        percentiles: tuple[float, float] = (2, 98),
        resampling: str = 'bilinear',
        before_crs: Any = None,
        after_crs: Any = None,
        same_grid: bool = False,
        nodata: float | Mapping[str, float] | None = None,
        ignore_scale: bool = False,
        correction: Sequence[float] | None = None,
        quality: Any = None,
        bad_values: Any = None,
        before_correction: Sequence[float] | None = None,
    ) -> None:
        self._files = contextlib.ExitStack()
        with contextlib.ExitStack() as files:
            dates = [
                SceneDate(role, path, crs, _of_date(bands, role), _of_date(nodata, role), files)
                for role, path, crs in (
                    ('before', before, before_crs),
                    ('after', after, after_crs),
                )
            ]
            _check_bands(dates[0], dates[1])
            chosen = all(_of_date(bands, date.role) for date in dates)
            if not chosen:
                check_band_order(dates[0], dates[1])
            _check_georeference(dates[0], dates[1], same_grid)
            self.bands = len(dates[0].bands)
            qualities = _open_qualities(dates, quality, bad_values, files)
            check_systems(dates[0].grid, dates[1].grid, (dates[0].name, dates[1].name))
            self.grid = _grid_of(dates, grid)
            self._corrections = dict(before=before_correction, after=correction)
            for date in dates:
                move = self._corrections[date.role]
                if move is None:
                    continue
                for one in (date, qualities.get(date.role)):
                    if one is not None:
                        one.grid = corrected(one.grid, self.grid, move, one.name)
                self.grid = _grid_of(dates, grid)
            for band in qualities.values():
                band.check_cover(self.grid)
            self.stretches = _stretches(
                dates, stretch, percentiles, ignore_scale, qualities, self.grid
            )
            for date in dates:
                date.place(self.grid, resampling, files)
            # A pair that is opened again has a stretch that was made.
            if not _is_made(stretch):
                if not chosen:
                    warn_of_bands(dates[0], dates[1])
                warn_of_order(dates[0], dates[1])
                warn_of_local_systems(dates[0], dates[1])
                if not isinstance(grid, SceneGrid):
                    warn_of_places(dates, self.grid)
                warn_of_datums(dates, self.grid)
                warn_of_empty_dates(dates, self.grid)
                _warn_of_constant_bands(dates[0], dates[1], self.grid)
                warn_of_ranges(dates, self.stretches, self.grid)
            self._files = files.pop_all()
        self._dates, self._qualities = dates, qualities

    def __enter__(self) -> ScenePair:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def check_count(self, count: int) -> None:
        """Refuse other numbers of bands than a network takes.

        Args:
            count: Number of bands of each date that it takes.

        Raises:
            SceneError: There are more, or fewer; the message names bands of the files.
        """
        if self.bands == count:
            return
        found = f'the network takes {count} bands of each date, the scene gives {self.bands}'
        example = both_options(*(date.example_bands(count) for date in self._dates))
        poorest = min(self._dates, key=lambda date: len(date.band_numbers()))
        has = len(poorest.band_numbers())
        if has >= count:
            raise SceneError(
                f'{found}; choose them in the order of the network with the option bands, for '
                f'example {example}'
            )
        trained = 'colour' if count == len(COLOURS) else f'{count} different bands'
        raise SceneError(
            f'{found}, and {poorest.name} has {has} in all. The network was trained on {trained}: '
            f'give files with {count} bands. A band may be repeated, as in {example}, but such '
            'pictures are unlike those of the training, and the maps are worse'
        )

    def covered(self) -> dict[str, float]:
        """Return the share (0..1) of the grid that lies in the file of each date."""
        steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
        columns, rows = np.meshgrid(steps * self.grid.width, steps * self.grid.height)
        x, y = apply_affine(self.grid.transform, columns.ravel(), rows.ravel())
        found = {}
        for date in self._dates:
            there = (x, y)
            if date.grid.crs is not None and self.grid.crs is not None:
                there = near_all(date.grid, *transform_points(self.grid.crs, date.grid.crs, x, y))
            column, row = apply_affine(~date.grid.transform, *there)
            inside = (column > 0) & (column < date.grid.width)
            inside &= (row > 0) & (row < date.grid.height)
            found[date.role] = float(inside.mean())
        return found

    def read(self, window: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Read a window of both dates.

        Args:
            window: (left, top, width, height) in pixels of :attr:`grid`, all of
                it inside; the default is the whole grid.

        Returns:
            The pair (2B, h, w), before's bands then after's, in 0..255: uint8
            where both dates are taken as they are, else float32; invalid pixels
            are 0. And a mask (h, w) bool of the pixels that are valid on both
            dates: inside both scenes, not masked, not transparent, not nodata (in any
            band read; of 8 bit in all bands of the file), finite in each band read, and not of
            bad quality.

        Raises:
            ImageFormatError: The window reaches over the grid.
            SceneError: A file is damaged there; the message names file, window and band.
        """
        pair, codes = self.read_codes(window)
        return pair, codes == BOTH_SEEN

    def read_codes(self, window: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Read a window of both dates, and why pixels are not valid.

        Args:
            window: As :meth:`read` takes it.

        Returns:
            The pair as :meth:`read` returns it, and the codes (h, w) uint8 of
            :mod:`tfinet_mm.scenes.validity`: 1 where valid, else 2 to 9.

        Raises:
            ImageFormatError, SceneError: See :meth:`read`.
        """
        size = self.grid.width, self.grid.height
        box = check_window('the common grid', window or (0, 0, *size), *size)
        parts = [date.read(box) for date in self._dates]
        states = []
        for date, (_, valid) in zip(self._dates, parts, strict=True):
            state = np.full(valid.shape, SEEN, np.uint8)
            if date.role in self._qualities:
                state[self._qualities[date.role].read(self.grid, box)] = BAD_QUALITY
            state[~valid] = NO_DATA
            states.append(state)
        codes = combine(*states)
        return self._joined(parts, codes == BOTH_SEEN), codes

    def picture(self, max_side: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the whole grid at reduced size, read from overviews where the files have them.

        Pixels are picked, not averaged, where there are none; nothing is
        enlarged. Another grid is warped after it was reduced, so the picture is
        for viewing, not for computing.

        Args:
            max_side: Greatest length of the longer side in pixels.

        Returns:
            The pair (2B, h, w) and its pixels with data (h, w); those of bad quality are shown.
        """
        small = self.grid.reduced(max_side)
        parts = [date.picture(self.grid, small) for date in self._dates]
        valid = parts[0][1] & parts[1][1]
        return self._joined(parts, valid), valid

    def _joined(
        self, parts: Sequence[tuple[np.ndarray, np.ndarray]], valid: np.ndarray
    ) -> np.ndarray:
        pair = np.concatenate(
            [stretch(values) for stretch, (values, _) in zip(self.stretches, parts, strict=True)]
        )
        pair[:, ~valid] = 0
        return pair

    def describe_stretch(self) -> str | None:
        """Return the limits of the stretch as a text; None where 8-bit values stay as they are."""
        texts = [
            describe_stretch(stretch.metadata(), date.bands)
            for date, stretch in zip(self._dates, self.stretches, strict=True)
        ]
        if all(stretch.kind == 'none' for stretch in self.stretches):
            return None
        if self.stretches[0] == self.stretches[1]:
            return texts[0]
        return '; '.join(
            f'{date.role}: {text}' for date, text in zip(self._dates, texts, strict=True)
        )

    def metadata(self) -> dict[str, Any]:
        """Return the origin of the results as plain values: files, bands, stretches, resampling.

        With a correction, the entry of its date has it. With a quality band, the entry of its
        date has its file, its band and the bad values.
        """
        found: dict[str, Any] = {
            date.role: {
                'file': name(date.path),
                'bands': date.bands,
                'stretch': stretch.metadata(),
                'resampling': date.resampling,
            }
            for date, stretch in zip(self._dates, self.stretches, strict=True)
        }
        for role, move in self._corrections.items():
            if move is not None:
                found[role]['correction'] = list(move)
        for role, band in self._qualities.items():
            found[role]['quality'] = {
                'file': name(band.path),
                'band': band.band,
                'bad_values': band.bad.describe(),
            }
        return found


def input_files(path: PathLike) -> list[str]:
    """Return a raster's file and those that it takes pixels and masks from, many for a mosaic.

    Statistics and overviews, which viewers add, are left out. Files in zip files and at addresses
    are named as :func:`~tfinet_mm.utils.places.absolute` does.
    """
    rasterio = import_rasterio(path)
    found: list[str] = []
    waiting = [absolute(path)]
    while waiting:
        one = waiting.pop(0)
        if one in found or is_of_viewer(one):
            continue
        if not os.path.isfile(one) and not is_virtual(one):
            continue
        found.append(one)
        waiting += filter(None, [crs_file(one)])
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            with (
                contextlib.suppress(rasterio.errors.RasterioError),
                opening(one),
                rasterio.open(gdal_path(one)) as raster,
            ):
                # The raster itself may have another name here, as in a zip file.
                waiting += [absolute(part) for part in raster.files if part != gdal_path(one)]
    return found


def _of_date(option: Any, role: str) -> Any:
    """Return the part of an option for one date."""
    if not isinstance(option, Mapping):
        return option
    unknown = sorted(set(option) - {'before', 'after'})
    if unknown:
        raise SceneError(
            f"expected the keys 'before' and 'after' in an option of both dates, got {unknown}"
        )
    return option.get(role)


def _open_qualities(
    dates: Sequence[SceneDate], quality: Any, bad_values: Any, files: contextlib.ExitStack
) -> dict[str, QualityBand]:
    """Open the quality bands by date, on the grids that the dates are used with."""
    if bad_values is not None and quality is None:
        raise SceneError(
            'bad_values (--bad-values) are those of a quality band; give one with quality '
            '(--quality)'
        )
    found = {}
    for date in dates:
        source = _of_date(quality, date.role)
        if source is not None:
            band = QualityBand(date.role, source, _of_date(bad_values, date.role), files)
            band.place(date.stored, date.grid)
            found[date.role] = band
    return found


def _grid_of(dates: Sequence[SceneDate], wanted: str | float | SceneGrid) -> SceneGrid:
    """Return the grid of a pair, and move both dates to its turn of the circle."""
    if isinstance(wanted, SceneGrid):
        for date in dates:
            date.grid = beside(date.grid, wanted)
        return wanted
    base, other = dates[::-1] if wanted == 'after' else dates
    other.grid = beside(other.grid, base.grid)
    names = tuple(f' ({date.path})' for date in dates)
    return common_grid(dates[0].grid, dates[1].grid, wanted, names)


def _check_bands(before: SceneDate, after: SceneDate) -> None:
    if len(before.bands) != len(after.bands):
        count = min(len(COLOURS), *(len(date.band_numbers()) for date in (before, after)))
        example = both_options(before.example_bands(count), after.example_bands(count))
        raise SceneError(
            f'before ({before.path}) has the bands {before.bands} and after ({after.path}) '
            f'{after.bands}; both dates need the same number of bands, in one order: choose them '
            f'with the option bands, for example {example}{of_few(count)}'
        )


def _is_made(stretch: Any) -> bool:
    return isinstance(stretch, Mapping) and all(
        isinstance(value, Stretch) for value in stretch.values()
    )


def _stretches(
    dates: Sequence[SceneDate],
    wanted: Any,
    percentiles: Any,
    ignore_scale: bool,
    qualities: Mapping[str, QualityBand],
    grid: SceneGrid,
) -> tuple[Stretch, ...]:
    """Return the stretch of each date, in its own stored numbers."""
    check_percentiles(percentiles)
    if isinstance(wanted, str) and wanted == 'auto':
        wanted = None if is_8_bit(dates) else 'percentiles'
    if isinstance(wanted, str) and wanted == 'percentiles':
        wanted = find_shared_stretch(dates, grid, percentiles, ignore_scale, qualities)
    found = tuple(
        date.stretch(_of_date(wanted, date.role), percentiles, qualities.get(date.role))
        for date in dates
    )
    # What is stated for a date, or taken from it, counts in its own numbers.
    if ignore_scale or isinstance(wanted, Mapping | str):
        return found
    before, after = dates
    if not tags_differ(before.tags, after.tags):
        return found
    check_tags(before.tags, after.tags, (before.name, after.name))
    return found[0], found[1].converted(before.tags, after.tags)


def _warn_of_constant_bands(before: SceneDate, after: SceneDate, grid: SceneGrid) -> None:
    first, second = before.constant_bands(grid), after.constant_bands(grid)
    for date, own, other in ((before, first, second), (after, second, first)):
        for position in sorted(set(own) - set(other)):
            warnings.warn(
                f'band {date.bands[position]} of {date.name} is {own[position]:g} in all valid '
                'pixels that were looked at, and varies on the other date, which the network sees '
                'as change; check the file, or choose other bands (--bands)',
                stacklevel=3,
            )


def _check_georeference(before: SceneDate, after: SceneDate, same_grid: bool) -> None:
    sizes = [f'{date.grid.width} x {date.grid.height}' for date in (before, after)]
    if same_grid:
        if sizes[0] != sizes[1]:
            raise SceneError(
                f'same_grid=True (--same-grid) needs two files of one size, before is {sizes[0]} '
                f'pixels, after {sizes[1]}; leave it out, or give files of one size'
            )
        after.grid = before.grid
        return
    for date, other in ((before, after), (after, before)):
        if date.placed_by:
            warp = date.warp_advice(None if other.placed_by else other.grid.crs)
            raise SceneError(
                f'{date.name} is placed on the ground by {date.placed_by} alone, expected a '
                f'transform and a CRS; warp it first: {warp.command} ({warp.note}). If both files '
                'show the same pixels, state same_grid=True (--same-grid), or predict them as '
                'pictures (--input-type picture)'
            )
    missing = [date for date in (before, after) if date.grid.crs is None]
    for date in missing:
        if date.crs_alone is None:
            continue
        found = f'{date.name} states the CRS {date.crs_alone.to_string()} and no transform'
        if len(missing) < 2 or before.grid != after.grid:
            raise SceneError(
                f'{found}, so that it has no place on the ground; give it the transform of its '
                'pixels (gdal_edit -a_ullr), or state same_grid=True (--same-grid) if both files '
                'show the same pixels'
            )
        warnings.warn(
            f'{found}: it is taken for a picture without a place, and areas are in pixels. Give '
            'it the transform of its pixels: gdal_edit -a_ullr',
            stacklevel=3,
        )
    if not missing or (len(missing) == 2 and before.grid == after.grid):
        return
    named = ' and '.join(f'{date.role} ({date.path})' for date in missing)
    options = ' and '.join(f"{date.role}_crs='EPSG:...'" for date in missing)
    raise SceneError(
        f'{named} has no CRS (before is {before.grid.describe()}, after {after.grid.describe()}); '
        f'state it with {options}, or same_grid=True if both files show the same pixels '
        f'(--before-crs, --after-crs, --same-grid; sizes: {sizes[0]} and {sizes[1]})'
    )
