"""Open the raster of one date, and refuse files that would be read wrong.

rasterio, the extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from tfinet_mm.errors import RemoteFileError, SceneError
from tfinet_mm.io.damage import (
    cause_of,
    describe,
    find_damage,
    read_errors,
    strict_decoding,
    unopened,
)
from tfinet_mm.io.images import PathLike, Window, import_rasterio
from tfinet_mm.io.vrt_sources import missing_source
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.utils.places import gdal_path, is_remote, is_virtual, opening, some
from tfinet_mm.utils.remote_files import advice

# A sample of a raster: this many windows along each axis, each of at most this side.
SAMPLE_WINDOWS = 3
SAMPLE_WINDOW = 64
NUMPY_TYPES = (
    *('uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64'),
    *('float32', 'float64'),
)
# Options of a VRT source that is 255 wherever it has data.
CONSTANT = dict(ScaleOffset=255, ScaleRatio=0)
# Options of a VRT source that make it complex and change no value. GDAL keeps a mask as a simple
# source open when another one is beside it.
UNSCALED = dict(ScaleOffset=0, ScaleRatio=1)
GDAL_TYPES = (
    *('Byte', 'Int8', 'UInt16', 'Int16', 'UInt32', 'Int32', 'UInt64', 'Int64'),
    *('Float32', 'Float64'),
)


def open_source(role: str, path: PathLike) -> Any:
    """Open a raster file with rasterio.

    Args:
        role: 'before' or 'after'.
        path: The file; also one in a zip file (``a.zip/b.tif``), an address, or a ``/vsi`` path
            of GDAL.

    Raises:
        FileNotFoundError: There is no such file.
        MissingExtraError: rasterio is not installed.
        RemoteFileError: Its server doesn't answer, or has no such file.
        SceneError: GDAL can't open it or a file that it names, it has no bands, or its values are
            complex numbers.
    """
    rasterio = import_rasterio(path)
    if not os.path.isfile(path) and not is_virtual(path):
        raise FileNotFoundError(f'{role}: there is no file {path}')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            with opening(path):
                raster = rasterio.open(gdal_path(path))
    except read_errors() as error:
        kind = RemoteFileError if is_remote(path) else SceneError
        raise kind(f'{role} ({path}) {unopened(path, error)}') from error
    if not raster.count:
        found = list(raster.subdatasets)
        raster.close()
        raise SceneError(
            f'{role} ({path}) holds {len(found)} rasters ({some(found) or "none"}), expected '
            'bands of one; write the one to read to a file of its own: gdal_translate '
            f'{found[0] if found else "NAME"} OUT.tif'
        )
    missing = missing_source(raster)
    if missing is not None:
        raster.close()
        raise SceneError(
            f'{role} ({path}) can not be read: it names {missing}; copy that file to its place, or '
            'write the mosaic (VRT) again'
        )
    kinds = sorted({kind for kind in raster.dtypes if kind.startswith('complex')})
    if kinds:
        raster.close()
        raise SceneError(
            f'{role} ({path}) stores complex numbers ({", ".join(kinds)}), expected real ones; '
            'write a file of their amplitude or intensity, for example by gdal_translate from '
            'DERIVED_SUBDATASET:AMPLITUDE:FILE'
        )
    return raster


def unusual_place(raster: Any) -> str | None:
    """Return what places a raster on the ground in place of an affine transform, if anything.

    Example:
        >>> from rasterio.io import MemoryFile
        >>> with MemoryFile() as memory:
        ...     size = dict(width=1, height=1, count=1, dtype='uint8')
        ...     with memory.open(driver='GTiff', crs='EPSG:32633', **size) as raster:
        ...         unusual_place(raster) is None
        True
    """
    if not raster.transform.is_identity:
        return None
    if raster.gcps[0]:
        return f'{len(raster.gcps[0])} ground control points (GCPs)'
    if raster.rpcs is not None:
        return 'rational polynomial coefficients (RPCs)'
    if raster.tags(ns='GEOLOCATION'):
        return 'a geolocation array'
    return None


class Searched(NamedTuple):
    """Part of a file to search for damage after an error.

    Attributes:
        name: The file as GDAL opens it.
        bands: Its bands, counted from 1.
        box: Window in its pixels.
        reduced: It was read at reduced size, so that the damage may be in an overview.
    """

    name: str
    bands: Sequence[int]
    box: Window
    reduced: bool = False


@contextlib.contextmanager
def reading(name: str, searched: Callable[[], Searched]) -> Iterator[None]:
    """Turn an error of GDAL into one that names the file, the window and the band.

    Warnings of wrong pixels count as errors.

    Args:
        name: Date and file, for messages.
        searched: Function that returns the part of the file that is read.

    Raises:
        RemoteFileError: Reading from a server failed.
        SceneError: Reading failed.
    """
    try:
        with strict_decoding():
            yield
    except read_errors() as error:
        part = searched()
        place = find_damage(*part)
        if place is None and not is_remote(part.name):
            # A warp may read more of the file than the outline of the window.
            place = find_damage(part.name, part.bands, reduced=part.reduced)
        if place is None:
            bands = ', '.join(map(str, part.bands))
            place = f'band{"s" * (len(part.bands) > 1)} {bands} in the window {describe(part.box)}'
        cause = cause_of(error)
        if is_remote(part.name):
            raise RemoteFileError(
                f'{name} can not be read: {place}. GDAL says: {cause}. {advice(cause, part.name)}'
            ) from error
        fix = 'copy or download it again'
        if 'overview' in place:
            fix += ', or remove its overviews: gdaladdo -clean FILE'
        raise SceneError(
            f'{name} can not be read: {place}. GDAL says: {cause}. The file, or one that a mosaic '
            f'(VRT) names, is damaged, incomplete or missing; {fix}'
        ) from error


def raster_window(window: Window) -> Any:
    """Return a window as rasterio takes it."""
    from rasterio.windows import Window as RasterWindow

    return RasterWindow(*window)


def sample_windows(width: int, height: int) -> list[Window]:
    """Return a few small windows all over a raster, quick to read at any size.

    Example:
        >>> [tuple(window) for window in sample_windows(1000, 60)]
        [(0, 0, 64, 60), (468, 0, 64, 60), (936, 0, 64, 60)]
    """
    sides = min(SAMPLE_WINDOW, width), min(SAMPLE_WINDOW, height)
    lefts, tops = (
        sorted(set(np.linspace(0, whole - side, SAMPLE_WINDOWS).astype(int).tolist()))
        for whole, side in zip((width, height), sides, strict=True)
    )
    return [Window(left, top, *sides) for top in tops for left in lefts]


def as_vrt(raster: Any, **changes: Any) -> ElementTree.Element:
    """Return the XML of a virtual raster (VRT) of ``raster``.

    Args:
        raster: An open raster.
        **changes: Attributes to set on it, such as ``crs``, ``transform`` or ``nodata``.
    """
    import rasterio
    import rasterio.shutil
    from rasterio.io import MemoryFile

    with MemoryFile(ext='.vrt') as memory:
        rasterio.shutil.copy(raster, memory.name, driver='VRT')
        if changes:
            with rasterio.open(memory.name, 'r+') as copy:
                for name, value in changes.items():
                    setattr(copy, name, value)
        return ElementTree.fromstring(memory.read())


def open_vrt(root: ElementTree.Element) -> Any:
    """Open the XML of a virtual raster."""
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        return rasterio.open(ElementTree.tostring(root, encoding='unicode'))


def replaced(
    raster: Any,
    crs: Any,
    transform: Any,
    alpha: int | None,
    nodata: float | None,
    without_last: bool = False,
) -> Any:
    """Return the same raster with another place, its bands unmarked without ``alpha``."""
    changes = dict(crs=crs, transform=transform)
    root = as_vrt(raster, **changes if nodata is None else changes | dict(nodata=nodata))
    if nodata is not None:
        for mask in root.findall('MaskBand'):
            root.remove(mask)
    bands = root.findall('VRTRasterBand')
    if without_last:
        root.remove(bands.pop())
    for band in bands:
        if nodata is not None:
            for mask in band.findall('MaskBand'):
                band.remove(mask)
        colour = band.find('ColorInterp')
        if alpha is None and colour is not None and colour.text == 'Alpha':
            band.remove(colour)
    return open_vrt(root)


def masks_of(raster: Any, bands: Sequence[int]) -> tuple[bool, list[int]]:
    """Return whether a file has a mask besides transparency, and the bands with own masks.

    Args:
        raster: The raster.
        bands: Numbers of the bands that are read.
    """
    flags = [{flag.name for flag in one} for one in raster.mask_flag_enums]
    own = [number for number in dict.fromkeys(bands) if not flags[number - 1]]
    return 'per_dataset' in flags[0] and 'alpha' not in flags[0], own


def colour_table(raster: Any) -> dict[int, tuple[int, ...]] | None:
    """Return the colours (red, green, blue, alpha) of a raster that stores their numbers.

    Returns:
        A dictionary by number; None for a raster of values.
    """
    if raster.colorinterp[0].name != 'palette' or raster.count > 2:
        return None
    with contextlib.suppress(ValueError):
        table: dict[int, tuple[int, ...]] = raster.colormap(1)
        return table
    return None


def expanded(
    raster: Any, grid: SceneGrid, table: dict[int, tuple[int, ...]], nodata: float | None
) -> Any:
    """Return a raster of numbers of colours as red, green, blue and, where needed, alpha.

    Args:
        raster: The raster, see :func:`colour_table`.
        grid: Its place.
        table: Its colours.
        nodata: The number without data, in place of the file's own marks.
    """
    root = _dataset(raster, grid.crs, grid.transform)
    for component, colour in enumerate(('Red', 'Green', 'Blue'), 1):
        band = _band(root, 'Byte', colour)
        _source(band, raster.name, 1, ColorTableComponent=component)
    own = nodata is None
    number = raster.nodata if own else nodata
    limits = {} if number is None else dict(NODATA=number)
    parts: list[tuple[str, Any, dict[str, Any]]] = []
    if number is not None or any(colour[3] < 255 for colour in table.values()):
        shown = dict(ColorTableComponent=4) if own else dict(CONSTANT)
        parts.append((raster.name, 1, shown | limits))
    if own and raster.count == 2:
        parts.append((raster.name, 2, {}))
    if own and any(flag.name == 'per_dataset' for flag in raster.mask_flag_enums[0]):
        parts.append((raster.name, 'mask,1', {}))
    if parts:
        _all_of(root, parts)
    return open_vrt(root)


def with_validity(
    raster: Any,
    crs: Any,
    transform: Any,
    bands: Sequence[int],
    alpha: int | None,
    masks: Sequence[int],
    nodata: Sequence[float | None],
    strict: bool,
) -> Any:
    """Return bands of a raster, and the validity of their pixels as the alpha band behind them.

    Args:
        raster: The raster.
        crs: CRS to place it in.
        transform: Its transform there.
        bands: The bands, counted from 1.
        alpha: Number of its transparency band, if any.
        masks: Numbers of the bands whose masks count; 1 for a mask of the whole file.
        nodata: The value without data of each of ``bands``.
        strict: A pixel is not valid where any band is nodata; else where all are.
    """
    root = _dataset(raster, crs, transform)
    names = dict(zip(NUMPY_TYPES, GDAL_TYPES, strict=True))
    for number in bands:
        band = _band(root, names[raster.dtypes[number - 1]])
        _source(band, raster.name, number)
    parts: list[tuple[str, Any, dict[str, Any]]] = []
    if alpha is not None:
        parts.append((raster.name, alpha, {}))
    parts += [(raster.name, f'mask,{number}', dict(UNSCALED)) for number in masks]
    # 255, but where the value is nodata, which leaves the 0 of an empty band.
    shown = [
        (
            number,
            CONSTANT | ({} if value is None else dict(NODATA=value)),
        )
        for number, value in zip(bands, nodata, strict=True)
    ]
    if strict:
        parts += [(raster.name, number, how) for number, how in shown if 'NODATA' in how]
    elif any('NODATA' in how for _, how in shown):
        any_of = _dataset(raster, crs, transform)
        band = _band(any_of, 'Byte')
        for number, how in shown:
            if 'NODATA' in how:
                _source(band, raster.name, number, **how)
        parts.append((ElementTree.tostring(any_of, encoding='unicode'), 1, {}))
    _all_of(root, parts)
    return open_vrt(root)


def _dataset(raster: Any, crs: Any, transform: Any) -> ElementTree.Element:
    size = dict(rasterXSize=str(raster.width), rasterYSize=str(raster.height))
    root = ElementTree.Element('VRTDataset', size)
    if crs is not None:
        ElementTree.SubElement(root, 'SRS').text = crs.to_wkt()
    place = ElementTree.SubElement(root, 'GeoTransform')
    place.text = ', '.join(repr(float(value)) for value in transform.to_gdal())
    return root


def _band(root: ElementTree.Element, kind: str, colour: str | None = None) -> ElementTree.Element:
    number = str(len(root.findall('VRTRasterBand')) + 1)
    band = ElementTree.SubElement(root, 'VRTRasterBand', dict(dataType=kind, band=number))
    if colour:
        ElementTree.SubElement(band, 'ColorInterp').text = colour
    return band


def _source(band: ElementTree.Element, name: str, number: int | str, **how: Any) -> None:
    source = ElementTree.SubElement(band, 'ComplexSource' if how else 'SimpleSource')
    ElementTree.SubElement(source, 'SourceFilename', dict(relativeToVRT='0')).text = name
    ElementTree.SubElement(source, 'SourceBand').text = str(number)
    for key, value in how.items():
        ElementTree.SubElement(source, key).text = repr(value)


def _all_of(root: ElementTree.Element, parts: Sequence[tuple[str, Any, dict[str, Any]]]) -> None:
    """Add an alpha band that is above 0 where all ``parts`` (file, band, options) are."""
    band = _band(root, 'Byte', 'Alpha')
    if len(parts) > 1:
        band.set('subClass', 'VRTDerivedRasterBand')
        ElementTree.SubElement(band, 'PixelFunctionType').text = 'mul'
        ElementTree.SubElement(band, 'SourceTransferType').text = 'Float64'
    for name, number, how in parts:
        _source(band, name, number, **how)
