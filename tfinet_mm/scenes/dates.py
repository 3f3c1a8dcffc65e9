"""Read the raster of one date on the grid of a pair."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike, Window, import_rasterio
from tfinet_mm.scenes.grid import SceneGrid, outline_in, pixel_offset
from tfinet_mm.scenes.stretch import SAMPLE_SIDE, Stretch, percentile_stretch, stated_stretch


class SceneDate:
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
