"""Read two georeferenced scenes, window by window, on one grid."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike, Window, check_window, import_rasterio
from tfinet_mm.scenes.grid import SceneGrid, common_grid, outline_in, pixel_offset
from tfinet_mm.scenes.stretch import SAMPLE_SIDE, Stretch, percentile_stretch, stated_stretch

VIEWERS = ('.aux.xml', '.ovr')
"""Endings of files that a viewer puts beside a raster."""


class ScenePair:
    """Two rasters of one place, read in windows of their overlap.

    Only the pixels of a window are read, and a scene on another grid is warped
    while it is read. One thread may use it at a time, as GDAL's data sets; open
    one for each process.

    Args:
        before: The file of the first date; anything that rasterio opens.
        after: The file of the second.
        grid: The grid of the result: ``'before'``, ``'after'``, or the size of
            a pixel in the units of ``before``'s CRS; see :func:`common_grid`.
        bands: Numbers of the bands to read, counted from 1, in the order the
            network takes; or ``{'before': [...], 'after': [...]}``. The default
            is all bands but a transparency (alpha) band, in the stored order.
        stretch: Values that become 0 and 255: ``(low, high)``, one such pair for
            each band, or ``'percentiles'`` of each band of each scene; or
            ``{'before': ..., 'after': ...}``. A :class:`Stretch` is used as it
            is. The default keeps 8-bit values and refuses others.
        percentiles: The percentiles that become 0 and 255. They are taken from
            a picture of the whole file with at most 1024 pixels a side, read
            from its overviews, and so are the same each time.
        resampling: A name of ``rasterio.enums.Resampling``, for the warped scene.
        before_crs: CRS of ``before``, in place of that of the file, if any.
        after_crs: The same for ``after``.
        nodata: Value of pixels without data, in place of nodata, mask or
            transparency of the files; or ``{'before': ..., 'after': ...}``.
        same_grid: Take pixel (0, 0) of both as the same place and ignore the
            georeference of ``after``; both must be of one size.

    Two files that both lack a CRS count as one pixel grid if size and
    transform are equal, as they are in files without any georeference.

    Attributes:
        grid: The :class:`SceneGrid` of all results.
        bands: Number of bands of each date, B.
        stretches: The :class:`Stretch` of before and after.

    Raises:
        FileNotFoundError: There is no such file.
        MissingExtraError: rasterio is not installed.
        SceneError: The two don't fit together; the message names the option
            to set.
    """

    def __init__(
        self,
        before: PathLike,
        after: PathLike,
        *,
        grid: str | float = 'before',
        bands: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
        stretch: str | Sequence[Any] | Mapping[str, Any] | None = None,
        percentiles: tuple[float, float] = (2, 98),
        resampling: str = 'bilinear',
        before_crs: Any = None,
        after_crs: Any = None,
        same_grid: bool = False,
        nodata: float | Mapping[str, float] | None = None,
    ) -> None:
        self._files = contextlib.ExitStack()
        with contextlib.ExitStack() as files:
            dates = [
                _Date(role, path, crs, _of_date(bands, role), _of_date(nodata, role), files)
                for role, path, crs in (
                    ('before', before, before_crs),
                    ('after', after, after_crs),
                )
            ]
            _check_bands(dates[0], dates[1])
            _check_georeference(dates[0], dates[1], same_grid)
            self.bands = len(dates[0].bands)
            self.stretches = tuple(
                date.stretch(_of_date(stretch, date.role), percentiles) for date in dates
            )
            self.grid = common_grid(
                dates[0].grid, dates[1].grid, grid, tuple(f' ({date.path})' for date in dates)
            )
            for date in dates:
                date.place(self.grid, resampling, files)
            self._files = files.pop_all()
        self._dates = dates

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

    def read(self, window: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Read a window of both dates.

        Args:
            window: (left, top, width, height) in pixels of :attr:`grid`, all of
                it inside; the default is the whole grid.

        Returns:
            The pair (2B, h, w), before's bands then after's, in 0..255: uint8
            where both dates are taken as they are, else float32; invalid pixels
            are 0. And a mask (h, w) bool of the pixels that are valid on both
            dates: inside both scenes, not transparent, not nodata (a pixel is
            nodata where all bands of the file are) and finite in each band read.

        Raises:
            ImageFormatError: The window reaches over the grid.
        """
        size = self.grid.width, self.grid.height
        box = check_window('the common grid', window or (0, 0, *size), *size)
        return self._joined([date.read(box) for date in self._dates])

    def picture(self, max_side: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the whole grid at reduced size, read from overviews where the files have them.

        Pixels are picked, not averaged, where there are none; nothing is
        enlarged. Another grid is warped after it was reduced, so the picture is
        for viewing, not for computing.

        Args:
            max_side: Greatest length of the longer side in pixels.

        Returns:
            The pair (2B, h, w) and its valid pixels (h, w), as :meth:`read` has them.
        """
        small = self.grid.reduced(max_side)
        return self._joined([date.picture(self.grid, small) for date in self._dates])

    def _joined(
        self, parts: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        valid = parts[0][1] & parts[1][1]
        pair = np.concatenate(
            [stretch(values) for stretch, (values, _) in zip(self.stretches, parts, strict=True)]
        )
        pair[:, ~valid] = 0
        return pair, valid

    def metadata(self) -> dict[str, Any]:
        """Return the origin of the results as plain values: files, bands, stretches, resampling."""
        return {
            date.role: {
                'file': Path(date.path).name,
                'bands': date.bands,
                'stretch': stretch.metadata(),
                'resampling': date.resampling,
            }
            for date, stretch in zip(self._dates, self.stretches, strict=True)
        }


def input_files(path: PathLike) -> list[str]:
    """Return a raster's file and those that it takes pixels and masks from, many for a mosaic.

    Statistics and overviews, which viewers add, are left out.
    """
    rasterio = import_rasterio(path)
    found: list[str] = []
    waiting = [os.path.abspath(path)]
    while waiting:
        one = waiting.pop(0)
        if one in found or not os.path.isfile(one) or one.lower().endswith(VIEWERS):
            continue
        found.append(one)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            with contextlib.suppress(rasterio.errors.RasterioError), rasterio.open(one) as raster:
                waiting += map(os.path.abspath, raster.files)
    return found


class _Date:
    """Open file of one date of a pair."""

    def __init__(
        self,
        role: str,
        path: PathLike,
        crs: Any,
        bands: Sequence[int] | None,
        nodata: float | None,
        files: contextlib.ExitStack,
    ) -> None:
        rasterio = import_rasterio(path)
        if not Path(path).is_file():
            raise FileNotFoundError(f'{role}: there is no file {path}')
        self.role, self.path = role, path
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
                self._raster = _kept(rasterio.open(path), files)
            known = self._raster.crs if crs is None else rasterio.crs.CRS.from_user_input(crs)
        except rasterio.errors.CRSError as error:
            raise SceneError(
                f'{role}_crs={crs!r} is no CRS ({error}); expected one such as EPSG:32633'
            ) from error
        except rasterio.errors.RasterioError as error:
            raise SceneError(
                f'{path} can not be read as a raster ({error}); expected a file that GDAL opens'
            ) from error
        self.grid = SceneGrid(
            known or None, self._raster.transform, self._raster.width, self._raster.height
        )
        roles = [interpretation.name for interpretation in self._raster.colorinterp]
        alpha = roles.index('alpha') + 1 if 'alpha' in roles else None
        self.bands = self._select(bands, alpha)
        # RGB and infrared are often stored with the fourth marked as transparency.
        self._alpha = None if alpha in self.bands else alpha
        if nodata is not None and self._alpha not in (None, self._raster.count):
            raise SceneError(
                f'{role} ({path}) has transparency in band {alpha}, before other bands, so nodata '
                'can not be stated in its place; write a copy without that band'
            )
        if alpha in self.bands or nodata is not None:
            self._raster = _kept(
                _virtual(self._raster, self.grid, None, nodata, self._alpha is not None), files
            )
            self._alpha = None
        self.nodata = self._raster.nodata
        self._offset: tuple[int, int] | None = None
        self._view, self._view_alpha = self._raster, self._alpha
        self.resampling: str | None = None

    def _select(self, bands: Sequence[int] | None, alpha: int | None) -> list[int]:
        found = self._raster.count
        if bands is None:
            return [number for number in range(1, found + 1) if number != alpha]
        numbers = [int(number) for number in bands]
        if not numbers or not all(1 <= number <= found for number in numbers):
            raise SceneError(
                f'{self.role} ({self.path}) has the bands 1 to {found}, asked for '
                f'bands={numbers}; they are counted from 1'
            )
        return numbers

    def stretch(self, wanted: Any, percentiles: tuple[float, float]) -> Stretch:
        """Return the stretch that the option asks for."""
        name = f'{self.role} ({self.path})'
        kinds = sorted({self._raster.dtypes[number - 1] for number in self.bands})
        if isinstance(wanted, Stretch):
            return wanted
        if wanted is None:
            if kinds == ['uint8']:
                return Stretch('none')
            raise SceneError(
                f'{name} stores {", ".join(kinds)} values, expected uint8 (0..255); state the '
                'values that become 0 and 255: --stretch LOW HIGH, LOW,HIGH for each band, or '
                'percentiles (from Python stretch=(low, high), one (low, high) for each band, '
                "or 'percentiles')"
            )
        if isinstance(wanted, str):
            if wanted != 'percentiles':
                raise SceneError(
                    'expected --stretch LOW HIGH or --stretch percentiles (from Python '
                    f"stretch=(low, high) or 'percentiles'), got {wanted!r}"
                )
            return percentile_stretch(*self._picture(), percentiles, name)
        return stated_stretch(wanted, len(self.bands), name)

    def _picture(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the whole file at reduced size, from overviews where it has them."""
        factor = min(1.0, SAMPLE_SIDE / max(self.grid.width, self.grid.height))
        shape = tuple(max(round(side * factor), 1) for side in (self.grid.height, self.grid.width))
        return self._values(self._raster, self._alpha, out_shape=shape)

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
        if pixel_offset(target, self.grid) is not None:
            shape = small.height, small.width
            return self._values(
                self._raster, self._alpha, window=_raster_window(box), out_shape=shape
            )
        # Read about as many pixels as are wanted; only warping gives exactly those.
        factor = max(min(box.width / small.width, box.height / small.height), 1.0)
        cut = cut.in_pixels(*(max(round(side / factor), 1) for side in (box.width, box.height)))
        values, valid = self._values(
            self._raster,
            self._alpha,
            window=_raster_window(box),
            out_shape=(cut.height, cut.width),
        )
        warped = warped.astype(values.dtype)
        for source, target_values in ((values, warped), (valid.astype(np.uint8), shown)):
            reproject(
                source,
                target_values,
                src_transform=cut.transform,
                src_crs=cut.crs,
                dst_transform=small.transform,
                dst_crs=small.crs,
            )
        return warped, shown > 0

    def place(self, target: SceneGrid, resampling: str, files: contextlib.ExitStack) -> None:
        """Make :meth:`read` return windows of ``target``."""
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        names = [method.name for method in Resampling]
        if resampling not in names:
            raise SceneError(f'expected resampling as one of {", ".join(names)}; got {resampling}')
        self._offset = pixel_offset(target, self.grid)
        if self._offset is not None:
            return
        own = self._raster.crs, self._raster.transform
        if own != (self.grid.crs, self.grid.transform):
            moved = _virtual(self._raster, self.grid, self._alpha, self.nodata)
            self._raster = _kept(moved, files)
        options: dict[str, Any] = {} if self._alpha else {'add_alpha': True}
        self._view = _kept(
            WarpedVRT(
                self._raster,
                crs=target.crs,
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
        self._view_alpha = self._alpha or self._view.count
        self._offset = 0, 0
        self.resampling = resampling

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return values (B, h, w) as stored and their validity (h, w) bool in a window."""
        left, top = self._offset or (0, 0)
        box = window._replace(left=window.left + left, top=window.top + top)
        return self._values(self._view, self._view_alpha, window=_raster_window(box))

    def _values(self, view: Any, alpha: int | None, **where: Any) -> tuple[np.ndarray, np.ndarray]:
        values = view.read(self.bands, **where)
        mask = view.read(alpha, **where) if alpha else view.dataset_mask(**where)
        valid = mask > 0
        if values.dtype.kind == 'f':
            valid &= np.isfinite(values).all(axis=0)
            values = np.where(valid, values, 0)
        return values, valid


def _kept(raster: Any, files: contextlib.ExitStack) -> Any:
    """Return an open raster, and close it with the others.

    Not entered as a context: rasterio would leave the GDAL environment of the
    thread that closes it, which may be another one.
    """
    files.callback(raster.close)
    return raster


def _raster_window(window: Window) -> Any:
    from rasterio.windows import Window as RasterWindow

    return RasterWindow(*window)


def _virtual(
    raster: Any,
    grid: SceneGrid,
    alpha: int | None,
    nodata: float | None,
    without_last: bool = False,
) -> Any:
    """Return the same raster placed by ``grid``, its bands unmarked without ``alpha``."""
    import rasterio
    import rasterio.shutil
    from rasterio.io import MemoryFile

    with MemoryFile(ext='.vrt') as memory:
        rasterio.shutil.copy(raster, memory.name, driver='VRT')
        with rasterio.open(memory.name, 'r+') as copy:
            copy.crs, copy.transform = grid.crs, grid.transform
            if nodata is not None:
                copy.nodata = nodata
        root = ElementTree.fromstring(memory.read())
    bands = root.findall('VRTRasterBand')
    if without_last:
        root.remove(bands.pop())
    for band in bands:
        colour = band.find('ColorInterp')
        if alpha is None and colour is not None and colour.text == 'Alpha':
            band.remove(colour)
    return rasterio.open(ElementTree.tostring(root, encoding='unicode'))


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


def _check_bands(before: _Date, after: _Date) -> None:
    if len(before.bands) != len(after.bands):
        raise SceneError(
            f'before ({before.path}) has the bands {before.bands} and after ({after.path}) '
            f'{after.bands}; both dates need the same number of bands, in one order: choose them '
            'with the option bands (--bands), for example bands=[1, 2, 3], or for each date '
            'bands={"before": [3, 2, 1], "after": [4, 3, 2]}'
        )


def _check_georeference(before: _Date, after: _Date, same_grid: bool) -> None:
    sizes = [f'{date.grid.width} x {date.grid.height}' for date in (before, after)]
    if same_grid:
        if sizes[0] != sizes[1]:
            raise SceneError(
                f'same_grid=True (--same-grid) needs two files of one size, before is {sizes[0]} '
                f'pixels, after {sizes[1]}; leave it out, or give files of one size'
            )
        after.grid = before.grid
        return
    missing = [date for date in (before, after) if date.grid.crs is None]
    if not missing or (len(missing) == 2 and before.grid == after.grid):
        return
    named = ' and '.join(f'{date.role} ({date.path})' for date in missing)
    options = ' and '.join(f"{date.role}_crs='EPSG:...'" for date in missing)
    raise SceneError(
        f'{named} has no CRS (before is {before.grid.describe()}, after {after.grid.describe()}); '
        f'state it with {options}, or same_grid=True if both files show the same pixels '
        f'(--before-crs, --after-crs, --same-grid; sizes: {sizes[0]} and {sizes[1]})'
    )
