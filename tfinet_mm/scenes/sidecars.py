"""Read files beside a raster that place it on the ground: world files, ``.prj``, ``.aux.xml``.

GDAL reads world files and ``.aux.xml``, and no ``.prj``. rasterio, the extra ``geo``, is imported
where it is used.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from tfinet_mm.io.images import PathLike
from tfinet_mm.scenes.grid import SceneGrid, pixel_offset
from tfinet_mm.utils.places import is_virtual

WORLD_FILES = '.tfw', '.tifw', '.wld'
VIEWERS = '.aux.xml', '.ovr'
"""Endings of files that a viewer puts beside a raster."""
PLACING = b'<SRS', b'<GeoTransform', b'<GCPList', b'<NoDataValue', b'<MaskBand'
"""Parts of an ``.aux.xml`` file that change what a raster shows, or where."""


def crs_file(path: PathLike) -> str | None:
    """Return the ``.prj`` file beside a raster, if there is one."""
    return None if is_virtual(path) else _beside(path, ('.prj',))


def crs_beside(raster: Any, path: PathLike) -> Any:
    """Return the CRS that a ``.prj`` file states for a raster without one, else None.

    It counts for rasters that a world file places, as in the programs of Esri.
    """
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    found = crs_file(path)
    if found is None or raster.crs or raster.transform.is_identity:
        return None
    try:
        text = Path(found).read_text(encoding='utf-8-sig', errors='replace')
        return CRS.from_wkt(text, morph_from_esri_dialect=True) or None
    except (CRSError, OSError):
        return None


def places_raster(aux: PathLike) -> bool:
    """Return whether an ``.aux.xml`` file has more than statistics, which viewers write."""
    try:
        content = Path(aux).read_bytes()
    except OSError:
        return False
    return any(part in content for part in PLACING)


def is_of_viewer(path: str) -> bool:
    """Return whether a file beside a raster has statistics or overviews only."""
    if not path.lower().endswith(VIEWERS):
        return False
    return path.lower().endswith('.ovr') or not places_raster(path)


def warn_of_two_places(raster: Any, path: PathLike, name: str) -> None:
    """Warn where the tags of a GeoTIFF and a file beside it state different places.

    Args:
        raster: The open raster.
        path: Its file.
        name: Date and file, for the message.
    """
    if raster.driver != 'GTiff' or is_virtual(path):
        return
    used = SceneGrid(raster.crs or None, raster.transform, raster.width, raster.height)
    aux, world = f'{os.fspath(path)}.aux.xml', _beside(path, WORLD_FILES)
    sources = []
    if os.path.isfile(aux) and places_raster(aux):
        sources.append(('INTERNAL', f'the tags of the file state another place than {aux}'))
    if world is not None:
        sources.append(('WORLDFILE', f'{world} states another place than the file'))
    for source, found in sources:
        other = _place_by(path, source)
        if other is None:
            continue
        if source == 'WORLDFILE' or other.crs is None:
            other = SceneGrid(used.crs, other.transform, other.width, other.height)
        if pixel_offset(used, other) != (0, 0):
            warnings.warn(
                f'{name} has two places: {found}, {other.describe()} and {used.describe()}. The '
                'second is used, as by GDAL; remove or correct the wrong one',
                stacklevel=4,
            )


def _place_by(path: PathLike, source: str) -> SceneGrid | None:
    """Return the place of a GeoTIFF by its tags or by its world file alone, if there is one."""
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, GEOREF_SOURCES=source) as raster:
            if raster.transform.is_identity:
                return None
            size = raster.width, raster.height
            return SceneGrid(raster.crs or None, raster.transform, *size)


def _beside(path: PathLike, endings: tuple[str, ...]) -> str | None:
    stem = os.path.splitext(os.fspath(path))[0]
    names = [stem + change(ending) for ending in endings for change in (str.lower, str.upper)]
    return next((one for one in names if os.path.isfile(one)), None)
