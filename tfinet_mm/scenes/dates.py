"""Read the raster of one date on the grid of a pair."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike, Window
from tfinet_mm.io.stored_values import bits_of, warn_of_pages
from tfinet_mm.scenes.band_colours import (
    INFRARED,
    MARKS,
    band_colours,
    both_options,
    example_bands,
    likely_colours,
    of_few,
)
from tfinet_mm.scenes.grid import (
    SceneGrid,
    check_grid,
    check_warp,
    outline_in,
    pixel_offset,
    plane_crs,
    warp_crs,
)
from tfinet_mm.scenes.overviews import check_overviews
from tfinet_mm.scenes.quality import QualityBand
from tfinet_mm.scenes.sidecars import crs_beside, warn_of_two_places
from tfinet_mm.scenes.sources import (
    Searched,
    colour_table,
    expanded,
    masks_of,
    open_source,
    raster_window,
    reading,
    replaced,
    sample_windows,
    unusual_place,
    with_validity,
)
from tfinet_mm.scenes.statements import COLOURS, refuse_white_zero, stated_crs, stated_nodata
from tfinet_mm.scenes.stretch import SAMPLE_SIDE, Stretch, percentile_stretch, stated_stretch
from tfinet_mm.scenes.warp_command import WarpAdvice, warp_advice

# Share of partly transparent pixels from which a band is no mask, but a picture marked as one.
PICTURE_SHARE = 0.5


class SceneDate:
    """Open file of one date of a pair.

    Args:
        role: 'before' or 'after'.
        path: The file.
        crs: CRS in place of the file's own.
        bands: Numbers of the bands to read, counted from 1; None for all but transparency.
        nodata: Value of pixels without data, in place of the file's own marks.
        files: Closes what is opened.

    Attributes:
        grid: Its pixels on the ground.
        stored: The same as the file states it.
        placed_by: Name of the means that places it without a transform, such as control points,
            or None.
        tags: Scale and offset of each band that is read.
        colours: What each of these bands shows for sure, see
            :func:`~tfinet_mm.scenes.band_colours.band_colours`.
        likely_colours: The same with what is only probable.
        band_names: Name of each, empty without one.
        tags_of_file: Tags of the file.
        crs_alone: CRS that the file states without any transform, or None.
    """

    def __init__(
        self,
        role: str,
        path: PathLike,
        crs: Any,
        bands: Sequence[int] | None,
        nodata: float | None,
        files: contextlib.ExitStack,
    ) -> None:
        self.role, self.path, self.name = role, path, f'{role} ({path})'
        self._raster = _kept(open_source(role, path), files)
        # Of the file itself, which a view may stand for.
        self._file, self._file_bands = self._raster.name, self._raster.count
        self.placed_by = unusual_place(self._raster)
        raster = self._raster
        refuse_white_zero(raster, path, role)
        warn_of_pages(raster, self.name)
        warn_of_two_places(raster, path, self.name)
        own: Any = raster.crs or crs_beside(raster, path) or None
        # A CRS that places no pixel.
        alone = own is not None and raster.transform.is_identity and not self.placed_by
        self.crs_alone = own if alone and (own.is_geographic or own.is_projected) else None
        own = None if self.crs_alone else own
        known = own if crs is None else stated_crs(role, crs)
        self.grid = SceneGrid(known or None, raster.transform, raster.width, raster.height)
        self.stored = replace(self.grid, crs=own)
        check_grid(self.grid, self.name)
        self.tags_of_file = raster.tags() | raster.tags(ns='IMAGERY')
        if nodata is not None:
            nodata = stated_nodata(nodata, raster.dtypes, self.name)
        table = colour_table(raster)
        if table is not None:
            self._refuse_numbers_of_colours(bands)
            self._raster = _kept(expanded(raster, self.grid, table, nodata), files)
            nodata = None
        alpha = self._alpha_band(bands)
        self.bands = self._select(bands, alpha)
        found = self._raster
        if len(self._kinds) > 1:
            raise SceneError(
                f'{self.name} has bands of the types {", ".join(self._kinds)}, expected one type; '
                'write a copy: gdal_translate -ot Float32 IN OUT'
            )
        marks, names = _marks_and_names(found)
        sure, likely = band_colours(marks, names), likely_colours(marks, names)
        self.colours = [sure[number - 1] for number in self.bands]
        self.likely_colours = [likely[number - 1] for number in self.bands]
        self.band_names = [names[number - 1] for number in self.bands]
        self._bits = None if table is not None else bits_of(found, self.bands)
        self.tags = [(found.scales[number - 1], found.offsets[number - 1]) for number in self.bands]
        # RGB and infrared are often stored with the fourth marked as transparency.
        unmarked = alpha is not None and (alpha in self.bands or self._is_picture(alpha))
        self._alpha = None if unmarked else alpha
        self._file_colours = likely
        if alpha is not None:
            self._file_colours[alpha - 1] = INFRARED if unmarked else ''
        if nodata is not None and self._alpha not in (None, self._raster.count):
            raise SceneError(
                f'{self.name} has transparency in band {alpha}, before other bands, so nodata '
                'can not be stated in its place; write a copy without that band'
            )
        if unmarked or nodata is not None:
            place = self.grid.crs, self.grid.transform
            moved = replaced(self._raster, *place, None, nodata, self._alpha is not None)
            self._raster = _kept(moved, files)
            self._alpha = None
        self._strict = any(self._raster.dtypes[number - 1] != 'uint8' for number in self.bands)
        self._masked, self._mask_bands = masks_of(self._raster, self.bands)
        self._nodata = [self._raster.nodatavals[number - 1] for number in self.bands]
        self._offset: tuple[int, int] | None = None
        self._view, self._view_alpha, self._view_bands = self._raster, self._alpha, self.bands
        self.resampling: str | None = None

    def warp_advice(self, crs: Any) -> WarpAdvice:
        """Return how to place the file by a transform, in the CRS of the other date."""
        with contextlib.ExitStack() as files:
            return warp_advice(_kept(open_source(self.role, self.path), files), self.path, crs)

    def band_numbers(self) -> list[int]:
        """Return the numbers of all bands of the file but transparency."""
        return [one for one in range(1, len(self._file_colours) + 1) if one != self._alpha]

    def example_bands(self, count: int) -> list[int]:
        """Return numbers of bands that a network of ``count`` bands could take.

        See :func:`~tfinet_mm.scenes.band_colours.example_bands`.
        """
        left_out = [] if self._alpha is None else [self._alpha]
        return example_bands(self._file_colours, count, left_out)

    def _refuse_numbers_of_colours(self, bands: Sequence[int] | None) -> None:
        if bands is not None and set(bands) == {1}:
            raise SceneError(
                f'{self.name} stores numbers of colours in one band, with a colour table, which '
                f'is read as red, green and blue (bands 1 to 3); got bands={list(bands)}. Leave '
                'the option bands (--bands) out, or write the colours to a file of three bands: '
                'gdal_translate -expand rgb'
            )

    def _alpha_band(self, bands: Sequence[int] | None) -> int | None:
        """Return the number of the transparency band; refuse a picture that is marked as one."""
        roles = [interpretation.name for interpretation in self._raster.colorinterp]
        if 'alpha' not in roles or len(roles) == 1:
            return None
        alpha = roles.index('alpha') + 1
        if bands is None and self._is_picture(alpha):
            count = min(len(COLOURS), len(roles) - 1)
            example = example_bands(likely_colours(*_marks_and_names(self._raster)), count, [alpha])
            raise SceneError(
                f'{self.name} marks band {alpha} as transparency, but most of its pixels are '
                'partly transparent, as if it were a picture (often infrared); choose the bands '
                'with the option bands, for example '
                f'{both_options(example, example)}{of_few(count)}'
            )
        return alpha

    def _is_picture(self, alpha: int) -> bool:
        boxes = sample_windows(self._raster.width, self._raster.height)
        parts = [self._read(self._raster, [alpha], window=box).ravel() for box in boxes]
        values = np.concatenate(parts)
        between = (values > 0) & (values < values.max(initial=0))
        return bool(between.mean() > PICTURE_SHARE and len(np.unique(values)) > 2)

    def _select(self, bands: Sequence[int] | None, alpha: int | None) -> list[int]:
        found = self._raster.count
        if bands is None:
            return [number for number in range(1, found + 1) if number != alpha]
        try:
            numbers = [int(number) for number in bands]
            whole = all(number == given for number, given in zip(numbers, bands, strict=True))
        except (TypeError, ValueError):
            numbers, whole = [], False
        if not whole or not numbers or not all(1 <= number <= found for number in numbers):
            raise SceneError(
                f'{self.role} ({self.path}) has the bands 1 to {found}, asked for '
                f'bands={bands}; they are whole numbers counted from 1'
            )
        return numbers

    @property
    def _kinds(self) -> list[str]:
        return sorted({self._raster.dtypes[number - 1] for number in self.bands})

    @property
    def is_8_bit(self) -> bool:
        """Return whether all bands that are read store uint8, in all of its 8 bits."""
        return self._kinds == ['uint8'] and (self._bits or 8) >= 8

    def stretch(
        self,
        wanted: Any,
        percentiles: tuple[float, float],
        quality: QualityBand | None = None,
    ) -> Stretch:
        """Return the stretch of this date alone that the option asks for.

        Pixels of bad quality count for no percentile.
        """
        if isinstance(wanted, Stretch):
            return wanted
        if wanted is None:
            if self.is_8_bit:
                return Stretch('none')
            kinds = ', '.join(self._kinds)
            if kinds == 'uint8':
                kinds = f'{self._bits}-bit (NBITS)'
            raise SceneError(
                f'{self.name} stores {kinds} values, expected uint8 (0..255); '
                'state the values that become 0 and 255: --stretch LOW HIGH, LOW,HIGH for each '
                'band, percentiles (of both dates together) or each-date (from Python '
                "stretch=(low, high), one (low, high) for each band, 'percentiles' or 'each-date')"
            )
        if isinstance(wanted, str):
            # One date of a pair has percentiles of its own.
            if wanted not in ('percentiles', 'each-date'):
                raise SceneError(
                    'expected --stretch LOW HIGH, --stretch percentiles or --stretch each-date '
                    "(from Python stretch=(low, high), 'percentiles' or 'each-date'), got "
                    f'{wanted!r}'
                )
            self.check_overviews(self.grid)
            values, valid = self._picture()
            if quality is not None:
                small = self.grid.in_pixels(valid.shape[1], valid.shape[0])
                clear = valid & ~quality.read(small, Window(0, 0, small.width, small.height))
                # A band of bad quality everywhere still has a brightness.
                valid = clear if clear.any() else valid
            return percentile_stretch(values, valid, percentiles, self.name)
        return stated_stretch(wanted, len(self.bands), self.name)

    def constant_bands(self, target: SceneGrid) -> dict[int, float]:
        """Return the position and the value of each band that is the same in all valid pixels.

        A few windows of ``target`` are read; a reduced picture of it only where they are constant.
        Nothing outside it is: a file may be damaged where nobody reads it.
        """
        boxes = sample_windows(target.width, target.height)
        if not self._constant([self.read(box) for box in boxes]):
            return {}
        return self._constant([self.picture(target, target.reduced(SAMPLE_SIDE))])

    def empty_bands(self, target: SceneGrid) -> list[int] | None:
        """Return the bands without any data of a date that shows no pixel; None if it shows any.

        A few windows of ``target`` are read; reduced pictures only where they are empty.
        """
        if any(self.read(box)[1].any() for box in sample_windows(target.width, target.height)):
            return None
        if self.picture(target, target.reduced(SAMPLE_SIDE))[1].any():
            return None
        shape = self._reduced_shape()
        found = []
        for number in self.bands:
            values = self._read(self._raster, number, out_shape=shape, masked=True)
            if not np.isfinite(values.compressed()).any():
                found.append(number)
        return found

    def check_overviews(self, target: SceneGrid) -> None:
        """Refuse overviews that show other values than the pixels in the place of ``target``."""
        columns, rows = outline_in(self.grid, target)
        if columns.size:
            left, top = max(int(columns.min()), 0), max(int(rows.min()), 0)
            right = min(math.ceil(columns.max()), self.grid.width)
            bottom = min(math.ceil(rows.max()), self.grid.height)
            box = Window(left, top, right - left, bottom - top)
            check_overviews(self._raster, self.bands, box, SAMPLE_SIDE, self.name)

    def _constant(self, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[int, float]:
        seen = np.concatenate([values[:, valid] for values, valid in parts], axis=1)
        if not seen.size:
            return {}
        same = (seen == seen[:, :1]).all(axis=1)
        return {int(position): float(seen[position, 0]) for position in np.flatnonzero(same)}

    def _picture(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the whole file at reduced size, from overviews where it has them."""
        return self._values(self._raster, out_shape=self._reduced_shape())

    def _reduced_shape(self) -> tuple[int, int]:
        factor = min(1.0, SAMPLE_SIDE / max(self.grid.width, self.grid.height))
        height, width = (
            max(round(side * factor), 1) for side in (self.grid.height, self.grid.width)
        )
        return height, width

    def picture(self, target: SceneGrid, small: SceneGrid) -> tuple[np.ndarray, np.ndarray]:
        """Return values and validity on ``small``, which is ``target`` in larger pixels."""
        from rasterio.warp import reproject

        columns, rows = outline_in(self.grid, target)
        left, top = (max(round(float(side.min())), 0) for side in (columns, rows))
        right = min(round(float(columns.max())), self.grid.width)
        bottom = min(round(float(rows.max())), self.grid.height)
        warped = np.zeros((len(self.bands), small.height, small.width), self._raster.dtypes[0])
        shown = np.zeros(warped.shape[1:], np.uint8)
        if right <= left or bottom <= top:
            return warped, shown > 0
        box = Window(left, top, right - left, bottom - top)
        cut = self.grid.cut(box)
        if self._offset_of(target) is not None:
            return self._values(self._raster, window=box, out_shape=(small.height, small.width))
        # Read about as many pixels as are wanted; only warping gives exactly those.
        factor = max(min(box.width / small.width, box.height / small.height), 1.0)
        cut = cut.in_pixels(*(max(round(side / factor), 1) for side in (box.width, box.height)))
        values, valid = self._values(self._raster, window=box, out_shape=(cut.height, cut.width))
        warped = warped.astype(values.dtype)
        for source, target_values in ((values, warped), (valid.astype(np.uint8), shown)):
            reproject(
                source,
                target_values,
                src_transform=cut.transform,
                src_crs=warp_crs(cut, small),
                dst_transform=small.transform,
                dst_crs=small.crs or plane_crs(),
            )
        return warped, shown > 0

    def place(self, target: SceneGrid, resampling: str, files: contextlib.ExitStack) -> None:
        """Make :meth:`read` return windows of ``target``."""
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        names = [method.name for method in Resampling]
        if resampling not in names:
            raise SceneError(f'expected resampling as one of {", ".join(names)}; got {resampling}')
        self._offset = self._offset_of(target)
        if self._offset is not None:
            return
        place = warp_crs(self.grid, target), self.grid.transform
        check_warp(self.grid, target, self.name)
        source = self._raster
        options: dict[str, Any] = {} if self._alpha else {'add_alpha': True}
        if self._has_own_validity():
            made = with_validity(
                source,
                *place,
                self.bands,
                alpha=self._alpha,
                masks=[1] * self._masked + self._mask_bands,
                nodata=self._nodata,
                strict=self._strict,
            )
            source = _kept(made, files)
            self._view_bands = list(range(1, len(self.bands) + 1))
            self._view_alpha, options = len(self.bands) + 1, {}
        elif (source.crs, source.transform) != place:
            source = _kept(replaced(source, *place, self._alpha, None), files)
        self._view = _kept(
            WarpedVRT(
                source,
                crs=target.crs or plane_crs(),
                transform=target.transform,
                width=target.width,
                height=target.height,
                resampling=Resampling[resampling],
                # Error of positions in pixels: a pixel hardly depends on the window it is read in.
                tolerance=0.001,
                UNIFIED_SRC_NODATA='YES',
                **options,
            ),
            files,
        )
        self._view_alpha = self._view_alpha or self._view.count
        self._offset = 0, 0
        self.resampling = resampling
        self._target = target

    def _offset_of(self, target: SceneGrid) -> tuple[int, int] | None:
        """Return the pixel at which ``target`` begins, if its pixels are all pixels of the file."""
        found = pixel_offset(target, self.grid)
        if found is None:
            return None
        left, top = found
        right, bottom = left + target.width, top + target.height
        inside = right <= self.grid.width and bottom <= self.grid.height
        return found if min(left, top) >= 0 and inside else None

    def _has_own_validity(self) -> bool:
        """Return whether GDAL would warp by another validity than :meth:`_values` returns."""
        # GDAL warps by transparency alone where a file has a mask too, and by no masks of bands.
        if self._mask_bands or (self._masked and self._alpha):
            return True
        stated = [value for value in self._nodata if value is not None]
        if not stated:
            return False
        # The same number in all bands; text, since NaN differs from itself.
        equal = len(stated) == len(self._nodata) and len({repr(value) for value in stated}) == 1
        marked = bool(self._alpha) or self._masked
        return marked or not equal or (self._strict and self._raster.count > 1)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return values (B, h, w) as stored and their validity (h, w) bool in a window."""
        left, top = self._offset or (0, 0)
        box = window._replace(left=window.left + left, top=window.top + top)
        if self._view is self._raster:
            return self._values(self._raster, window=box)
        values = self._read(self._view, self._view_bands, window=box)
        valid = self._read(self._view, self._view_alpha, window=box) > 0
        return _finite(values, valid)

    def _values(self, raster: Any, **where: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return values of the file's own pixels and their validity."""
        values = self._read(raster, self.bands, **where)
        valid = np.ones(values.shape[1:], bool)
        marked = bool(self._alpha) or self._masked
        if self._alpha:
            valid = self._read(raster, self._alpha, **where) > 0
        # GDAL's mask takes no account of nodata that some bands lack.
        known = [value for value in self._nodata if value is not None]
        alone = self._strict or marked or len(known) < len(self._nodata)
        if self._masked or (known and not alone):
            valid &= self._read(raster, None, **where) > 0
        for number in self._mask_bands:
            valid &= self._read(raster, number, mask=True, **where) > 0
        if known and alone:
            pairs = zip(values, self._nodata, strict=True)
            hits = np.stack([_equal(one, value) for one, value in pairs if value is not None])
            # Nodata of 8 bit is often a number that single bands have in valid pixels too.
            valid &= ~(hits.any(axis=0) if self._strict else hits.all(axis=0))
        return _finite(values, valid)

    def _read(
        self,
        raster: Any,
        bands: Any,
        window: Window | None = None,
        mask: bool = False,
        **where: Any,
    ) -> Any:
        """Read bands, their masks, or the mask of the file for None."""
        if window is not None:
            where['window'] = raster_window(window)

        def searched() -> Searched:
            numbers = [bands] if isinstance(bands, int) else bands or self.bands
            if raster is not self._raster:
                numbers = self.bands
            # A view has bands of its own: colours of a table, validity.
            own = [number for number in numbers if number <= self._file_bands] or [1]
            box = window or Window(0, 0, raster.width, raster.height)
            if raster is not self._raster:
                box = self._source_box(box)
            return Searched(self._file, own, box, reduced='out_shape' in where)

        with reading(self.name, searched):
            if bands is None:
                return raster.dataset_mask(**where)
            return raster.read_masks(bands, **where) if mask else raster.read(bands, **where)

    def _source_box(self, window: Window) -> Window:
        """Return the pixels of the file from which a window of the target is warped."""
        columns, rows = outline_in(self.grid, self._target.cut(window))
        left, top = (max(math.floor(float(side.min())) - 1, 0) for side in (columns, rows))
        right = min(math.ceil(float(columns.max())) + 1, self.grid.width)
        bottom = min(math.ceil(float(rows.max())) + 1, self.grid.height)
        return Window(left, top, max(right - left, 1), max(bottom - top, 1))


def _finite(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if values.dtype.kind == 'f':
        valid = valid & np.isfinite(values).all(axis=0)
        values = np.where(valid, values, 0)
    return values, valid


def _equal(values: np.ndarray, nodata: float) -> np.ndarray:
    if math.isnan(nodata):
        return np.isnan(values) if values.dtype.kind == 'f' else np.zeros(values.shape, bool)
    # A float32 file states its nodata in decimals, which may be beyond float32.
    with np.errstate(over='ignore'):
        wanted = np.float32(nodata) if values.dtype == np.float32 else nodata
    return np.asarray(values == wanted)


def _marks_and_names(raster: Any) -> tuple[list[str], list[str]]:
    """Return the colour that each band of a raster is marked as, and its name; empty without."""
    roles = [interpretation.name for interpretation in raster.colorinterp]
    names = [(name or '').strip() for name in raster.descriptions]
    return [role if role in MARKS else '' for role in roles], names


def _kept(raster: Any, files: contextlib.ExitStack) -> Any:
    """Return an open raster, and close it with the others.

    Not entered as a context: rasterio would leave the GDAL environment of the
    thread that closes it, which may be another one.
    """
    files.callback(raster.close)
    return raster
