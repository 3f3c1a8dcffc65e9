"""Outlines of areas of pixels, in pixels.

shapely and rasterio, of the extra ``geo``, are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfinet_mm.scenes.components import Block
from tfinet_mm.scenes.rasters import import_geo


def outlines(block: Block, wanted: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Polygons of areas of a block of rows.

    Args:
        block: The areas.
        wanted: (n,) bool, those to outline; the ones without pixels here give nothing.
        top: The block's first row in the scene.

    Returns:
        Polygons as an array of shapely geometries in columns and rows of the scene, and the
        number of the area that each is of. An area is one polygon or several that share corners
        at most, in no order.
    """
    shapely = import_geo('shapely', 'An outline')
    wanted = wanted & (block.own > 0)
    left, upper, right, lower = block.boxes.T
    # Most areas of a noisy scene are rectangles, which needn't be traced.
    full = wanted & ((right - left) * (lower - upper) == block.own)
    numbers = np.flatnonzero(full)
    boxes = shapely.box(left[full], upper[full] + top, right[full], lower[full] + top)
    rest = wanted & ~full
    if not rest.any():
        return boxes, numbers
    traced, of_traced = _trace(block.labels, rest, top)
    return np.concatenate([boxes, traced]), np.concatenate([numbers, of_traced])


def _trace(labels: np.ndarray, wanted: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    shapely = import_geo('shapely', 'An outline')
    features = import_geo('rasterio.features', 'An outline')
    chosen = np.concatenate([[False], wanted])[labels]
    coordinates: list[Any] = []
    # Of each ring its number of points and its polygon, of each polygon its area.
    sizes: list[int] = []
    owners: list[int] = []
    numbers: list[int] = []
    for shape, label in features.shapes(labels, mask=chosen, connectivity=4):
        for ring in shape['coordinates']:
            coordinates.extend(ring)
            sizes.append(len(ring))
            owners.append(len(numbers))
        numbers.append(int(label) - 1)
    points = np.array(coordinates) + np.array([0, top])
    rings = shapely.linearrings(points, indices=np.repeat(np.arange(len(sizes)), sizes))
    polygons = shapely.polygons(rings, indices=np.array(owners))
    # Older GDALs let an outline run through a point twice.
    wrong = ~shapely.is_valid(polygons)
    polygons[wrong] = shapely.make_valid(polygons[wrong])
    return polygons, np.array(numbers)


def union(parts: Sequence[Any]) -> Any:
    """One geometry of polygons that share sides or corners, without points along straight sides.

    Args:
        parts: shapely polygons whose sides go along rows and columns.

    Example:
        >>> import shapely
        >>> union([shapely.box(0, 0, 2, 1), shapely.box(0, 1, 2, 2)]).normalize().wkt
        'POLYGON ((0 0, 0 2, 2 2, 2 0, 0 0))'
    """
    shapely = import_geo('shapely', 'An outline')
    merged = shapely.get_parts(shapely.union_all(list(parts)))
    made = [
        shapely.Polygon(_corners(polygon.exterior), [_corners(hole) for hole in polygon.interiors])
        for polygon in merged
    ]
    return made[0] if len(made) == 1 else shapely.MultiPolygon(made)


def _corners(ring: Any) -> np.ndarray:
    """Points of a ring at which it turns."""
    points = np.asarray(ring.coords)[:-1]
    along = np.roll(points, -1, 0) - points
    turns = (along * np.roll(along, 1, 0)).sum(1) == 0
    return points[turns]
