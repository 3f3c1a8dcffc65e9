"""Read polygons of interest into the pixels of a scene.

pyogrio, pyproj and shapely, of the extra ``geo``, are imported where they are used.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import PathLike, import_geo
from tfinet_mm.scenes.grid import SceneGrid, apply_affine, near_all

PURPOSE = 'Reading polygons of interest'
POLYGON_TYPES = 3, 6
# Points along the longer side of the scene at which edges in another CRS are bent.
STEPS = 256
# Part of the scene's size to which polygons are clipped around it, before they are transformed.
MARGIN = 0.05
NO_NAME = '(no name)'


@dataclass(frozen=True, eq=False)
class Zones:
    """Polygons of interest by name.

    Attributes:
        names: Name of each of the Z zones.
        shapes: Z shapely geometries in columns and rows of the grid, clipped to a margin around
            it; empty for a zone outside.
        outside: Part 0..1 of each zone's area that is outside of the scene, float64 (Z,).
        polygons: Number of polygons of each zone, int64 (Z,).
    """

    names: tuple[str, ...]
    shapes: np.ndarray
    outside: np.ndarray
    polygons: np.ndarray


def read_zones(
    path: PathLike,
    grid: SceneGrid,
    by: str | None = None,
    layer: str | None = None,
    crs: Any = None,
) -> Zones:
    """Read polygons, and transform them into the pixels of a scene.

    Args:
        path: A vector file that GDAL reads, such as a GeoPackage, GeoJSON or shapefile.
        grid: The scene's grid.
        by: Field that names the zones; polygons of one value are one zone, counted once where
            they overlap. By default each polygon is a zone, named by its number in the file.
        layer: Layer to read; needed where the file has several with polygons.
        crs: CRS of the polygons, in place of the file's own.

    Raises:
        MissingExtraError: pyogrio, pyproj or shapely is not installed.
        FileNotFoundError: There is no such file.
        SceneError: It can't be read, has no such layer or field, holds other shapes than polygons
            or none, or it isn't known how its CRS and the scene's go together.
    """
    shapely = import_geo('shapely', PURPOSE)
    shapes, names, stored_crs = _read(path, by, layer)
    source = _crs_of(path, grid, stored_crs if crs is None else crs)
    shapes = _only_polygons(shapely.make_valid(shapes))
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(name, []).append(index)
    joined = np.empty(len(groups), object)
    joined[:] = [
        shapes[group[0]] if len(group) == 1 else shapely.union_all(shapes[group])
        for group in groups.values()
    ]
    placed, outside = _place(joined, grid, source, path)
    counts = np.array([len(group) for group in groups.values()])
    return Zones(tuple(groups), placed, outside, counts)


def _read(
    path: PathLike, by: str | None, layer: str | None
) -> tuple[np.ndarray, list[str], str | None]:
    """Return the polygons of a file, their names, and the file's CRS."""
    pyogrio = import_geo('pyogrio', PURPOSE)
    errors = import_geo('pyogrio.errors', PURPOSE)
    shapely = import_geo('shapely', PURPOSE)
    if not os.path.exists(path):
        raise FileNotFoundError(f'there is no {path}; give a file of polygons')
    try:
        layer = _layer(pyogrio.list_layers(path), path, layer)
        info = pyogrio.read_info(path, layer=layer)
        fields = [str(name) for name in info['fields']]
        if not info['features']:
            raise SceneError(f'{path} holds no polygons; give a file of at least one')
        if by is not None and by not in fields:
            raise SceneError(
                f'{path} has no field {by!r}; name one of {", ".join(fields) or "(none)"} with --by'
            )
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            info, numbers, stored, columns = pyogrio.raw.read(
                path, layer=layer, columns=[] if by is None else [by], return_fids=True
            )
    except (errors.DataSourceError, errors.DataLayerError) as error:
        raise SceneError(
            f'{path} could not be read as polygons ({error}); give a GeoPackage, GeoJSON or '
            'shapefile'
        ) from error
    shapes = shapely.from_wkb(stored)
    filled = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    shapes, values = shapes[filled], (numbers if by is None else columns[0])[filled]
    if not len(shapes):
        raise SceneError(f'{path} holds no polygons; give a file of at least one')
    types = shapely.get_type_id(shapes)
    if not np.isin(types, POLYGON_TYPES).all():
        other = shapes[~np.isin(types, POLYGON_TYPES)][0].geom_type
        raise SceneError(f'{path} holds a {other}, expected polygons only; choose another layer')
    return shapely.force_2d(shapes), [_name(value) for value in values.tolist()], info['crs']


def _layer(layers: np.ndarray, path: PathLike, wanted: str | None) -> str:
    """Return the layer to read, of the pairs of name and type that a file has."""
    names = [str(name) for name, _ in layers]
    if wanted is not None:
        if wanted not in names:
            raise SceneError(f'{path} has no layer {wanted!r}, only {", ".join(names)}')
        return wanted
    with_shapes = [str(name) for name, kind in layers if kind is not None]
    if len(with_shapes) != 1:
        raise SceneError(
            f'{path} has {len(with_shapes)} layers with shapes ({", ".join(with_shapes)}); choose '
            'the one of the polygons with --aoi-layer'
        )
    return with_shapes[0]


def _name(value: Any) -> str:
    if value is None or value != value or value == '':
        return NO_NAME
    # Whole numbers beside missing ones come as floats.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _crs_of(path: PathLike, grid: SceneGrid, crs: Any) -> Any:
    """Return the polygons' CRS for pyproj; None where neither they nor the scene have one."""
    pyproj = import_geo('pyproj', PURPOSE)
    if (crs is None) != (grid.crs is None):
        lacks, has = (path, 'the scene') if crs is None else ('the scene', path)
        raise SceneError(
            f'{lacks} has no CRS and {has} has one; state the CRS of the polygons with --aoi-crs, '
            'or give polygons in the coordinates of the scene'
        )
    if crs is None:
        return None
    try:
        return pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise SceneError(
            f'{crs!r} is no CRS of {path}: {error}; state it as in --aoi-crs EPSG:4326'
        ) from error


def _only_polygons(shapes: np.ndarray) -> np.ndarray:
    """Return shapes without the lines and points that mending and clipping leave."""
    shapely = import_geo('shapely', PURPOSE)
    kept = shapes.copy()
    for index in np.flatnonzero(~np.isin(shapely.get_type_id(shapes), POLYGON_TYPES)):
        parts = shapely.get_parts(shapes[index])
        # Mending gives several polygons as one part.
        parts = shapely.get_parts(parts)
        kept[index] = shapely.multipolygons(parts[shapely.get_type_id(parts) == POLYGON_TYPES[0]])
    return kept


def _place(
    shapes: np.ndarray, grid: SceneGrid, source: Any, path: PathLike
) -> tuple[np.ndarray, np.ndarray]:
    """Return shapes in columns and rows of the grid, and the part of each outside of it."""
    shapely = import_geo('shapely', PURPOSE)
    pyproj = import_geo('pyproj', PURPOSE)
    x, y = grid.ring()
    forward = None
    if source is not None:
        target = pyproj.CRS.from_wkt(grid.crs.to_wkt())
        if not source.equals(target, ignore_axis_order=True):
            forward = pyproj.Transformer.from_crs(source, target, always_xy=True)
            x, y = forward.transform(x, y, direction='INVERSE')
            if not (np.isfinite(x).all() and np.isfinite(y).all()):
                raise SceneError(
                    f'the scene, {grid.describe()}, is out of reach of the CRS of {path}, '
                    f'{source.name}; give the polygons in a CRS of this region'
                )
    circle = None if source is None or not source.is_geographic else _circle(source)
    if circle is not None:
        # The ring of a scene across 180 degrees, in one piece.
        x = x[0] + (x - x[0] + circle / 2) % circle - circle / 2
    outline = shapely.make_valid(shapely.polygons(np.stack([x, y], axis=1)))
    whole = shapely.area(shapes)
    if circle is not None:
        shapes = _beside(shapes, float(x.min()), float(x.max()), circle)
    within = shapely.area(shapely.intersection(shapes, outline))
    with np.errstate(invalid='ignore', divide='ignore'):
        outside = np.where(whole > 0, 1 - within / whole, 1.0)
    # What rounding leaves of a polygon on the scene's border.
    outside = np.where(outside < 1e-9, 0.0, outside)
    size = float(max(np.ptp(x), np.ptp(y)))
    left, bottom, right, top = x.min(), y.min(), x.max(), y.max()
    around = shapely.box(
        left - MARGIN * size, bottom - MARGIN * size, right + MARGIN * size, top + MARGIN * size
    )
    placed = _only_polygons(shapely.intersection(shapes, around))
    if forward is not None:
        placed = shapely.segmentize(placed, size / STEPS)

    def to_pixels(points: np.ndarray) -> np.ndarray:
        moved = points.T if forward is None else near_all(grid, *forward.transform(*points.T))
        return np.stack(apply_affine(~grid.transform, *moved), axis=1)

    return shapely.transform(placed, to_pixels), outside


def _circle(crs: Any) -> float:
    """Return the length of a full circle in units of a geographic CRS."""
    return float(round(2 * np.pi / crs.axis_info[0].unit_conversion_factor, 9))


def _beside(shapes: np.ndarray, left: float, right: float, circle: float) -> np.ndarray:
    """Return shapes also in those turns of the circle in which they reach longitudes of a scene."""
    shapely = import_geo('shapely', PURPOSE)
    bounds = shapely.bounds(shapes)
    moved = shapes.copy()
    for index, (west, _, east, _) in enumerate(bounds):
        if not np.isfinite(west):
            continue
        first, last = np.ceil((left - east) / circle), np.floor((right - west) / circle)
        turns = np.arange(first, last + 1)
        if len(turns) and (turns != 0).any():
            copies = [
                shapely.transform(shapes[index], lambda points, by=by: points + by)
                for by in np.array([turns * circle, np.zeros_like(turns)]).T
            ]
            moved[index] = shapely.union_all(copies)
    return moved
