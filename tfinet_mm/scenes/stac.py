"""Describe a scene's results as an item of a SpatioTemporal Asset Catalog (STAC 1.1).

The item is plain JSON; no package of STAC is needed. pyproj and shapely, of the extra ``geo``, are
imported where they are used.
"""

from __future__ import annotations

import datetime
import importlib
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import PathLike, import_geo
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.result_rasters import ResultRaster
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.fingerprints import fingerprints
from tfinet_mm.utils.json_text import json_text

PURPOSE = 'A STAC item'
STAC_VERSION = '1.1.0'
ITEM_FILE = 'item.json'
EXTENSIONS = tuple(
    f'https://stac-extensions.github.io/{name}/schema.json'
    for name in (
        'projection/v2.0.0',
        'raster/v2.0.0',
        'classification/v2.0.0',
        'file/v2.1.0',
        'processing/v1.2.0',
    )
)
# Media type, roles and title of the files that are no rasters.
FILES = {
    'changes.gpkg': ('application/geopackage+sqlite3', 'data', 'polygons of the changes'),
    'areas.json': ('application/json', 'data', 'from-to areas'),
    'areas.csv': ('text/csv', 'data', 'from-to areas as a table'),
    'totals.csv': ('text/csv', 'data', 'areas of the classes on both dates'),
    'before.jpg': ('image/jpeg', 'overview', 'image before'),
    'after.jpg': ('image/jpeg', 'overview', 'image after'),
    'scene.json': ('application/json', 'metadata', 'settings and provenance'),
}
COG_TYPE = 'image/tiff; application=geotiff; profile=cloud-optimized'
# First two bytes of a multihash: SHA-256, of 32 bytes.
SHA256_PREFIX = '1220'
# Decimals of degrees, about a centimetre.
DEGREE_DIGITS = 7


def write_item(
    scene: PathLike,
    out: PathLike | None = None,
    *,
    name: str | None = None,
    before: str | None = None,
    after: str | None = None,
) -> Path:
    """Write the STAC item of a finished scene.

    Args:
        scene: The scene's folder.
        out: File to write; by default ``item.json`` in the folder. Links to the results are
            relative to it.
        name: The item's id; by default the name of the scene's folder.
        before: Time of the first image, ISO 8601, such as ``2018-06-01`` or
            ``2018-06-01T10:20:00Z``; by default the one in its metadata.
        after: Time of the second image.

    Returns:
        The file.

    Raises:
        MissingExtraError: A part of the extra ``geo`` is not installed.
        SceneError: The scene isn't finished or has no CRS, or a time is missing or wrong.
    """
    results = SceneResults(Path(scene))
    target = results.folder / ITEM_FILE if out is None else Path(out)
    times = image_times(results.scene.get('provenance', {}), before, after)
    item = scene_item(results, target, name or results.folder.resolve().name, times)
    with whole_file(target) as partial:
        partial.write_text(json_text(item) + '\n', encoding='utf-8')
    return target


def image_times(
    origin: Mapping[str, Any], before: str | None = None, after: str | None = None
) -> tuple[str, str]:
    """Return the times of both images in UTC, as STAC writes them.

    A time without a zone is in UTC. A day alone counts from its first second for the image before,
    and to its last for the image after.

    Args:
        origin: Provenance of the scene, with the times that the images state.
        before: Time of the first image, in place of its own.
        after: Time of the second.

    Raises:
        SceneError: A time is neither given nor stated, can't be read, or the second is before the
            first.

    Example:
        >>> image_times({}, '2018-06-01', '2023-06-02T10:30:00+02:00')
        ('2018-06-01T00:00:00Z', '2023-06-02T08:30:00Z')
    """
    found = []
    for role, given, ending in (
        ('before', before, datetime.time.min),
        ('after', after, datetime.time(23, 59, 59)),
    ):
        text = given or origin.get(role, {}).get('acquired')
        if not text:
            raise SceneError(
                f'the image {role} does not state when it was taken; give its time with '
                f'--{role}-date, such as --{role}-date 2023-06-02'
            )
        try:
            moment = datetime.datetime.fromisoformat(text)
        except ValueError as error:
            raise SceneError(
                f'{text!r} is no time of the image {role}; write it as 2023-06-02 or '
                f'2023-06-02T10:30:00Z with --{role}-date'
            ) from error
        if re.fullmatch(r'[\d-]+', text):
            moment = datetime.datetime.combine(moment, ending)
        zone = moment.tzinfo or datetime.UTC
        found.append(moment.replace(tzinfo=zone, microsecond=0).astimezone(datetime.UTC))
    if found[1] < found[0]:
        raise SceneError(
            f'the image after is of {found[1]:%Y-%m-%d}, earlier than the image before, '
            f'{found[0]:%Y-%m-%d}; check --before-date and --after-date'
        )
    first, last = (f'{moment:%Y-%m-%dT%H:%M:%S}Z' for moment in found)
    return first, last


def scene_item(
    results: SceneResults, target: Path, name: str, times: tuple[str, str]
) -> dict[str, Any]:
    """Return the item of a scene as plain values.

    Args:
        results: The scene.
        target: File that the links to the results are relative to.
        name: The item's id.
        times: Times of both images.

    Raises:
        SceneError: The scene has no CRS.
    """
    grid = results.grid
    if grid.crs is None:
        raise SceneError(
            f'{results.folder} has no CRS, and a STAC item needs its place on the globe; predict '
            'the scene with --before-crs'
        )
    geometry, box = footprint(grid)
    first, last = times
    origin = results.scene.get('provenance', {})
    properties: dict[str, Any] = dict(
        datetime=None, start_datetime=first, end_datetime=last, title=f'Land-cover change, {name}'
    )
    properties |= _projection(grid)
    if origin:
        properties['processing:software'] = origin['software']
        properties['processing:lineage'] = _lineage(origin)
        properties |= {f'tfinet:{key}': origin[key] for key in ('model', 'before', 'after')}
        properties['tfinet:settings'] = origin['settings']
    assets = {}
    for raster in results.rasters.values():
        path = results.path(raster.name)
        assets[raster.name] = _asset(path, target, COG_TYPE, 'data', raster.description)
        assets[raster.name] |= _raster_fields(raster, grid)
    for file, (kind, role, title) in FILES.items():
        if (results.folder / file).is_file():
            key = file.replace('.', '_') if file.startswith('areas') else Path(file).stem
            assets[key] = _asset(results.folder / file, target, kind, role, title)
    return dict(
        type='Feature',
        stac_version=STAC_VERSION,
        stac_extensions=list(EXTENSIONS),
        id=name,
        geometry=geometry,
        bbox=box,
        properties=properties,
        links=[],
        assets=assets,
    )


def footprint(grid: SceneGrid) -> tuple[dict[str, Any], list[float]]:
    """Return the outline of a grid on the globe, as a geometry of GeoJSON, and its box.

    An outline across the antimeridian is split there, and the west of its box is larger than its
    east, as GeoJSON has it. A grid that holds a pole gives the whole cap around it.

    Raises:
        MissingExtraError: pyproj or shapely is not installed.
        SceneError: The grid lies nowhere on the globe.
    """
    pyproj, shapely = import_geo('pyproj', PURPOSE), import_geo('shapely', PURPOSE)
    crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
    x, y = grid.ring()
    east, north = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    if not (np.isfinite(east).all() and np.isfinite(north).all()):
        raise SceneError(
            f'the scene, {grid.describe()}, lies partly nowhere on the globe; state the right CRS '
            'with --before-crs'
        )
    # By whole turns, so that the ring stays closed exactly.
    east += 360 * np.round((np.unwrap(east, period=360) - east) / 360)
    south, top = float(north.min()), float(north.max())
    if abs(east[-1] - east[0]) > 180:
        # Once around the globe: a pole is inside.
        south, top = (south, 90.0) if south + top > 0 else (-90.0, top)
        cap = [round(one, DEGREE_DIGITS) for one in (-180.0, south, 180.0, top)]
        return shapely.geometry.mapping(shapely.box(*cap)), cap
    # The middle into -180..180; then one end may be beyond.
    east -= 360 * np.round((east.min() + east.max()) / 720)
    whole = shapely.polygons(np.stack([east, north], axis=1))
    parts = []
    for turn in (-360, 0, 360):
        part = shapely.intersection(whole, shapely.box(turn - 180, -90, turn + 180, 90))
        if shapely.area(part) > 0:
            parts.append(_rounded(shapely, part, turn))
    shape = parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
    west, last = float(east.min()), float(east.max())
    box = [west + 360 if west < -180 else west, south, last - 360 if last > 180 else last, top]
    return shapely.geometry.mapping(shape), [round(one, DEGREE_DIGITS) for one in box]


def _rounded(shapely: Any, shape: Any, turn: int) -> Any:
    """Return a polygon without needless points, moved by a turn and counter-clockwise."""
    simple = shapely.simplify(shape, 10**-DEGREE_DIGITS)
    moved = shapely.transform(simple, lambda at: np.round(at - (turn, 0), DEGREE_DIGITS))
    return importlib.import_module('shapely.geometry.polygon').orient(moved)


def _projection(grid: SceneGrid) -> dict[str, Any]:
    """Return the fields of the projection extension."""
    pyproj = import_geo('pyproj', PURPOSE)
    crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
    authority = crs.to_authority()
    found: dict[str, Any] = {'proj:code': ':'.join(authority) if authority else None}
    if authority is None:
        found['proj:wkt2'] = crs.to_wkt()
    transform = [float(one) for one in grid.transform][:6]
    return found | {'proj:shape': [grid.height, grid.width], 'proj:transform': transform}


def _lineage(origin: Mapping[str, Any]) -> str:
    networks = ', '.join(f'{one["name"]} ({one["checkpoint"]})' for one in origin['model'])
    return (
        f'Change between {origin["before"]["file"]} and {origin["after"]["file"]}, predicted by '
        f'{networks}'
    )


def _asset(path: Path, target: Path, kind: str, role: str, title: str) -> dict[str, Any]:
    """Return an asset with the fields of the file extension."""
    found = fingerprints([path])[0]
    return {
        'href': _link(path, target),
        'type': kind,
        'roles': [role],
        'title': title,
        'file:size': path.stat().st_size,
        'file:checksum': SHA256_PREFIX + found['sha256'],
    }


def _link(path: Path, target: Path) -> str:
    """Return the link from the item to a file, relative where both are on one drive."""
    try:
        relative = os.path.relpath(path, target.parent)
    except ValueError:
        return path.resolve().as_uri()
    return './' + quote(Path(relative).as_posix())


def _raster_fields(raster: ResultRaster, grid: SceneGrid) -> dict[str, Any]:
    """Return the fields of a raster's values, and those of its classes."""
    nodata = 'nan' if math.isnan(raster.nodata) else int(raster.nodata)
    row = PixelAreas(grid).rows(grid.height // 2, 1)
    found = {
        'data_type': raster.dtype,
        'nodata': nodata,
        'raster:sampling': 'area',
        'raster:spatial_resolution': round(float(np.sqrt(row[0, row.shape[1] // 2])), 4),
    }
    if not raster.colours:
        return found
    taken: set[str] = set()
    classes = [
        dict(
            value=value,
            name=_short_name(name, value, taken),
            title=name,
            color_hint='{:02X}{:02X}{:02X}'.format(*colour),
        )
        | (dict(nodata=True) if value == nodata else {})
        for value, (name, colour) in enumerate(zip(raster.class_names, raster.colours, strict=True))
    ]
    if not any(one.get('nodata') for one in classes):
        name = _short_name('no data', int(raster.nodata), taken)
        classes.append(dict(value=nodata, name=name, title='no data', nodata=True))
    return found | {'classification:classes': classes}


def _short_name(name: str, value: int, taken: set[str]) -> str:
    """Return a name of letters, digits, - and _ alone that no other class has."""
    short = re.sub('[^0-9A-Za-z_-]+', '_', name).strip('_') or f'class_{value}'
    short = f'{short}_{value}' if short in taken else short
    taken.add(short)
    return short
