"""Put several rasters of one date together as a virtual raster (VRT)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike
from tfinet_mm.io.stored_values import bits_of
from tfinet_mm.scenes.grid import SceneGrid, apply_affine, check_grid, pixel_offset
from tfinet_mm.scenes.sources import GDAL_TYPES, NUMPY_TYPES, open_source, unusual_place
from tfinet_mm.scenes.statements import refuse_white_zero
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.places import absolute, gdal_path, is_virtual

COLOURS = {
    **dict(gray='Gray', red='Red', green='Green', blue='Blue', alpha='Alpha', palette='Palette'),
    'undefined': 'Undefined',
}
# Pixels of a mosaic, most of which would be empty where its parts lie far from each other.
MOST_PIXELS = 1 << 34
Box = tuple[int, int, int, int]


def write_mosaic(target: PathLike, paths: Sequence[PathLike]) -> None:
    """Write a virtual raster of several rasters, which lie on one lattice of pixels.

    The files keep the pixels; the virtual raster names them by their paths relative to it. Where
    they overlap, the last one that has data is shown. Pixels that no file covers are masked.

    Args:
        target: File to write, ``.vrt``.
        paths: Two rasters or more.

    Raises:
        FileNotFoundError: There is no such file.
        SceneError: They differ in CRS, pixels, bands, types or colours; the message names both
            files and a command that brings them together.
    """
    target = Path(target)
    if target.suffix.lower() != '.vrt':
        raise SceneError(
            f'a mosaic is a virtual raster, expected a name that ends in .vrt: {target}'
        )
    twice = [path for path in paths if [absolute(one) for one in paths].count(absolute(path)) > 1]
    if twice:
        raise SceneError(f'{twice[0]} is given twice; give each file of the mosaic once')
    if len(paths) < 2:
        raise SceneError(f'a mosaic needs two files or more, got {len(paths)}')
    with contextlib.ExitStack() as files:
        rasters = []
        for path in paths:
            rasters.append(open_source('mosaic', path))
            files.callback(rasters[-1].close)
        root = _mosaic(target, [os.fspath(path) for path in paths], rasters)
        with whole_file(target) as partial:
            ElementTree.indent(root)
            partial.write_text(ElementTree.tostring(root, encoding='unicode'), encoding='utf-8')


def _mosaic(target: Path, paths: Sequence[str], rasters: Sequence[Any]) -> ElementTree.Element:
    first = rasters[0]
    base = SceneGrid(first.crs or None, first.transform, first.width, first.height)
    boxes = []
    for path, raster in zip(paths, rasters, strict=True):
        grid = SceneGrid(raster.crs or None, raster.transform, raster.width, raster.height)
        check_grid(grid, path)
        offset = pixel_offset(grid, base)
        _check_alike(paths[0], first, path, raster, offset)
        assert offset is not None
        if unusual_place(raster) or (raster.transform.is_identity and len(rasters) > 1):
            found = unusual_place(raster) or 'no transform'
            raise SceneError(
                f'{path} has {found}, expected a transform that places it beside the others; '
                'warp it first (gdalwarp), or set its place (gdal_edit -a_ullr)'
            )
        refuse_white_zero(raster, path, 'mosaic')
        boxes.append((*offset, raster.width, raster.height))
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right = max(box[0] + box[2] for box in boxes)
    bottom = max(box[1] + box[3] for box in boxes)
    if (right - left) * (bottom - top) > MOST_PIXELS:
        raise SceneError(
            f'the mosaic would have {right - left} x {bottom - top} pixels, expected at most '
            f'{MOST_PIXELS}; give files of one place'
        )
    size = dict(rasterXSize=str(right - left), rasterYSize=str(bottom - top))
    root = ElementTree.Element('VRTDataset', size)
    if base.crs is not None:
        ElementTree.SubElement(root, 'SRS').text = base.crs.to_wkt()
    x, y = apply_affine(base.transform, left, top)
    old = base.transform
    place = (x, old.a, old.b, y, old.d, old.e)
    ElementTree.SubElement(root, 'GeoTransform').text = ', '.join(repr(float(n)) for n in place)
    moved = [(box[0] - left, box[1] - top, *box[2:]) for box in boxes]
    names = [
        gdal_path(path) if is_virtual(path) else os.path.relpath(path, target.parent)
        for path in paths
    ]
    parts = list(zip(names, rasters, moved, strict=True))
    has_alpha = 'alpha' in [one.name for one in first.colorinterp]
    for number in range(1, first.count + 1):
        _add_band(root, number, first, parts, has_alpha)
    if not has_alpha:
        mask = ElementTree.SubElement(ElementTree.SubElement(root, 'MaskBand'), 'VRTRasterBand')
        mask.set('dataType', 'Byte')
        for name, raster, box in parts:
            if _is_masked(raster):
                # Where a file is masked, one below it is seen.
                _add_source(mask, name, 'mask,1', box, NODATA=0)
            else:
                _add_source(mask, name, 1, box, ScaleOffset=255, ScaleRatio=0)
    return root


def _add_band(
    root: ElementTree.Element, number: int, first: Any, parts: Sequence[Any], has_alpha: bool
) -> None:
    kinds = dict(zip(NUMPY_TYPES, GDAL_TYPES, strict=True))
    attributes = dict(dataType=kinds[first.dtypes[number - 1]], band=str(number))
    band = ElementTree.SubElement(root, 'VRTRasterBand', attributes)
    bits = bits_of(first, [number])
    if bits is not None:
        domain = ElementTree.SubElement(band, 'Metadata', dict(domain='IMAGE_STRUCTURE'))
        ElementTree.SubElement(domain, 'MDI', dict(key='NBITS')).text = str(bits)
    if first.descriptions[number - 1]:
        ElementTree.SubElement(band, 'Description').text = first.descriptions[number - 1]
    nodata, scale, offset = (
        values[number - 1] for values in (first.nodatavals, first.scales, first.offsets)
    )
    if nodata is not None:
        ElementTree.SubElement(band, 'NoDataValue').text = repr(nodata)
    colour = first.colorinterp[number - 1].name
    ElementTree.SubElement(band, 'ColorInterp').text = COLOURS.get(colour, 'Undefined')
    if colour == 'palette':
        table = ElementTree.SubElement(band, 'ColorTable')
        for entry in first.colormap(number).values():
            named = {f'c{place}': str(value) for place, value in enumerate(entry, 1)}
            ElementTree.SubElement(table, 'Entry', named)
    if (scale, offset) != (1, 0):
        ElementTree.SubElement(band, 'Offset').text = repr(offset)
        ElementTree.SubElement(band, 'Scale').text = repr(scale)
    for name, raster, box in parts:
        how: dict[str, Any] = {}
        own = raster.nodatavals[number - 1]
        if own is not None:
            how['NODATA'] = own
        if has_alpha or _is_masked(raster):
            how['UseMaskBand'] = 'true'
        _add_source(band, name, number, box, **how)


def _add_source(
    band: ElementTree.Element, name: str, number: int | str, box: Box, **how: Any
) -> None:
    source = ElementTree.SubElement(band, 'ComplexSource' if how else 'SimpleSource')
    relative = str(int(not is_virtual(name)))
    ElementTree.SubElement(source, 'SourceFilename', dict(relativeToVRT=relative)).text = name
    ElementTree.SubElement(source, 'SourceBand').text = str(number)
    for key, value in how.items():
        ElementTree.SubElement(source, key).text = value if key == 'UseMaskBand' else repr(value)
    left, top, width, height = (str(side) for side in box)
    whole = dict(xOff='0', yOff='0', xSize=width, ySize=height)
    ElementTree.SubElement(source, 'SrcRect', whole)
    ElementTree.SubElement(source, 'DstRect', whole | dict(xOff=left, yOff=top))


def _is_masked(raster: Any) -> bool:
    return any(flag.name == 'per_dataset' for flag in raster.mask_flag_enums[0]) and not any(
        one.name == 'alpha' for one in raster.colorinterp
    )


def _check_alike(
    name: str, first: Any, path: str, raster: Any, offset: tuple[int, int] | None
) -> None:
    """Refuse a file that differs from the first one in more than its place."""
    if offset is None:
        raise SceneError(
            f'{path} has other pixels than {name}: {_place(raster)} and {_place(first)}; warp it '
            'onto the same lattice first: gdalwarp -tap -tr WIDTH HEIGHT -t_srs EPSG:... IN OUT'
        )
    facts: dict[str, Callable[[Any], Any]] = {
        'bands': lambda one: one.count,
        'types': lambda one: ', '.join(one.dtypes),
        'colours': lambda one: ', '.join(colour.name for colour in one.colorinterp),
        'bits': lambda one: bits_of(one, one.indexes),
        'nodata': lambda one: [value is None for value in one.nodatavals],
        'scale and offset tags': lambda one: (one.scales, one.offsets),
    }
    if all(first.descriptions) and all(raster.descriptions):
        facts['names of bands'] = lambda one: ', '.join(one.descriptions)
    if raster.colorinterp[0].name == first.colorinterp[0].name == 'palette':
        facts['colour tables'] = lambda one: one.colormap(1)
    for what, fact in facts.items():
        found, expected = fact(raster), fact(first)
        if found != expected:
            shown = '' if what in ('nodata', 'colour tables') else f' ({found} and {expected})'
            raise SceneError(
                f'{path} has other {what} than {name}{shown}; write it with the same: '
                'gdal_translate, with -b, -ot, -colorinterp or -a_nodata as needed'
            )


def _place(raster: Any) -> str:
    crs = 'no CRS' if raster.crs is None else raster.crs.to_string()
    place = raster.transform
    across, down = (float(np.hypot(*side)) for side in ((place.a, place.d), (place.b, place.e)))
    return f'{across:.10g} x {down:.10g} from {place.c:.10g}, {place.f:.10g} ({crs})'
