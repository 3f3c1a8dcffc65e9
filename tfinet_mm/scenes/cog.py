"""Write cloud-optimised GeoTIFFs with colours and class names.

GDAL's COG driver writes them block by block. rasterio, the extra ``geo``, is imported where it is
used.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tfinet_mm.errors import SceneError
from tfinet_mm.io.damage import find_damage
from tfinet_mm.io.rasters import CACHE_BYTES, import_geo, open_raster
from tfinet_mm.utils.files import ALMOST_FULL, naming_file, whole_file

TILE = 512
GDAL_TYPES = {'uint8': 'Byte', 'uint16': 'UInt16', 'float32': 'Float32'}
NAMES_TAG = 'CLASS_NAMES'
RESAMPLINGS = 'nearest', 'average'
# DEFLATE from 1, fast, to 9, small; GDAL's own is 6. Probabilities are almost noise: level 1 writes
# them in a third of the time and a few percent larger. Maps of classes are small and compress
# well: level 5 takes half the time and makes them a fifth larger.
NOISE_LEVEL, CLASS_LEVEL = 1, 5


def write_cog(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    crs: Any,
    transform: Any,
    description: str | Sequence[str],
    nodata: float,
    colours: Sequence[Sequence[int]] | None = None,
    class_names: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    resampling: str = 'nearest',
) -> None:
    """Copy a raster to a cloud-optimised GeoTIFF, which appears once it is complete.

    Tiles of 512 pixels, DEFLATE (with the predictor for floats and several bands), BigTIFF where
    it may be needed. A raster of one band gets overviews down to one tile; several bands are for
    programs. The values are those of the source; the options below give their meaning.

    Class names are category names of the band as GDAL and QGIS show them. GeoTIFF has no place for
    those, so GDAL stores them in ``target + '.aux.xml'``; the file's own tag ``CLASS_NAMES`` has
    them too, as a JSON list.

    Args:
        source: A file of uint8, uint16 or float32 that rasterio opens, of one band or more.
        target: File to write.
        crs: The ``rasterio.crs.CRS`` of the result, or None.
        transform: The ``affine.Affine`` of the result.
        description: Description of the band, or a list with one of each band.
        nodata: Value of pixels without data.
        colours: RGB colour of each value from 0 on, at most 256; uint8 only.
        class_names: Name of each value from 0 on.
        tags: Metadata of the file.
        resampling: Resampling of overviews: 'nearest', or 'average' over pixels with data.

    Raises:
        MissingExtraError: rasterio is not installed.
        SceneError: The source has another number of bands or another type, or an option is out of
            range.
        OSError: The source can't be read or the target not written.
    """
    rasterio = import_geo('rasterio', 'Writing a GeoTIFF')
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError
    from rasterio.shutil import copy

    if resampling not in RESAMPLINGS:
        raise SceneError(
            f"expected overviews by resampling='nearest' or 'average', got {resampling!r}"
        )
    descriptions = [description] if isinstance(description, str) else description
    with open_raster(source, len(descriptions)) as raster:
        kind, width, height = raster.dtypes[0], raster.width, raster.height
    if kind not in GDAL_TYPES:
        raise SceneError(f'expected {source} to have values of {", ".join(GDAL_TYPES)}, got {kind}')
    if colours and (kind != 'uint8' or len(colours) > 256):
        raise SceneError(
            f'a colour table needs a raster of uint8 and at most 256 colours; {source} is {kind} '
            f'and there are {len(colours)} colours'
        )
    root = ElementTree.Element('VRTDataset', rasterXSize=str(width), rasterYSize=str(height))
    _describe_file(root, crs, transform, tags or {}, class_names)
    for band, text in enumerate(descriptions, start=1):
        _describe_band(root, kind, source, band, text, nodata, colours or (), class_names or ())
    several = len(descriptions) > 1
    noisy = kind == 'float32' or several
    options = dict(
        compress='DEFLATE',
        # The predictor makes files of floats and of interleaved bands smaller, and those of class
        # codes larger.
        predictor='YES' if noisy else 'NO',
        level=NOISE_LEVEL if noisy else CLASS_LEVEL,
        blocksize=TILE,
        resampling=resampling.upper(),
        overviews='NONE' if several else 'AUTO',
        bigtiff='IF_SAFER',
        num_threads='ALL_CPUS',
    )
    target = os.fspath(target)
    with whole_file(target) as partial, naming_file(target, CPLE_BaseError, RasterioError):
        made, names = _names_file(partial), _names_file(target)
        try:
            # GDAL compresses the overviews twice, at first in a file for itself.
            with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, COG_TMP_COMPRESSION='NONE'):
                text = ElementTree.tostring(root, encoding='unicode')
                copy(text, partial, driver='COG', **options)
                _check(partial, (width, height), len(descriptions))
            # Before the file itself, whose presence means that both are complete.
            if made.exists():
                made.replace(names)
            else:
                names.unlink(missing_ok=True)
        finally:
            made.unlink(missing_ok=True)


def _describe_file(
    root: ElementTree.Element,
    crs: Any,
    transform: Any,
    tags: Mapping[str, str],
    class_names: Sequence[str] | None,
) -> None:
    """Add the elements of a VRT for the whole file."""
    if crs is not None:
        ElementTree.SubElement(root, 'SRS').text = crs.to_wkt()
    if crs is not None or not transform.is_identity:
        numbers = (getattr(transform, name) for name in 'cabfde')
        text = ', '.join(repr(float(number)) for number in numbers)
        ElementTree.SubElement(root, 'GeoTransform').text = text
    metadata = ElementTree.SubElement(root, 'Metadata')
    own = {NAMES_TAG: json.dumps(list(class_names), ensure_ascii=False)} if class_names else {}
    for key, value in {**tags, **own}.items():
        ElementTree.SubElement(metadata, 'MDI', key=key).text = str(value)


def _describe_band(
    root: ElementTree.Element,
    kind: str,
    source: str | os.PathLike[str],
    number: int,
    description: str,
    nodata: float,
    colours: Sequence[Sequence[int]],
    class_names: Sequence[str],
) -> None:
    """Add the elements of a VRT for one band, in the order of GDAL's schema."""
    band = ElementTree.SubElement(
        root, 'VRTRasterBand', dataType=GDAL_TYPES[kind], band=f'{number}'
    )
    ElementTree.SubElement(band, 'Description').text = description
    ElementTree.SubElement(band, 'NoDataValue').text = repr(nodata)
    # GDAL stores several grey bands in a file beside the GeoTIFF.
    shown = 'Gray' if number == 1 else 'Undefined'
    ElementTree.SubElement(band, 'ColorInterp').text = 'Palette' if colours else shown
    if class_names:
        categories = ElementTree.SubElement(band, 'CategoryNames')
        for name in class_names:
            ElementTree.SubElement(categories, 'Category').text = name
    if colours:
        table = ElementTree.SubElement(band, 'ColorTable')
        for red, green, blue in colours:
            ElementTree.SubElement(table, 'Entry', c1=f'{red}', c2=f'{green}', c3=f'{blue}')
    part = ElementTree.SubElement(band, 'SimpleSource')
    path = ElementTree.SubElement(part, 'SourceFilename', relativeToVRT='0')
    path.text = os.path.abspath(source)
    ElementTree.SubElement(part, 'SourceBand').text = f'{number}'


def _check(path: Path, size: tuple[int, int], bands: int) -> None:
    """Read the pixel that is written last, which a full disk would have left out.

    Where the disk is almost full, all pixels: another program may have freed space meanwhile.
    """
    width, height = size
    with open_raster(path, bands) as made:
        made.read(bands, window=((height - 1, height), (width - 1, width)))
    if shutil.disk_usage(path.parent).free < ALMOST_FULL:
        damage = find_damage(os.fspath(path), reduced=True)
        if damage is not None:
            raise OSError(f'{path} was not written completely: {damage}')


def _names_file(path: str | os.PathLike[str]) -> Path:
    """Return the file in which GDAL stores metadata that a GeoTIFF can't hold."""
    return Path(f'{os.fspath(path)}.aux.xml')


def read_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the class names in a file of :func:`write_cog`, from its tag; empty without any.

    Raises:
        MissingExtraError: rasterio is not installed.
    """
    with open_raster(path) as raster:
        return tuple(json.loads(raster.tags().get(NAMES_TAG, '[]')))
