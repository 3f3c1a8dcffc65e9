"""Compute the tiles of Web Mercator (EPSG:3857): 256 pixels a side, row 0 in the north.

At zoom z the world is a square of 2**z by 2**z tiles; longitude and latitude are those of WGS 84.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.grid import SceneGrid, apply_affine
from tfinet_mm.scenes.stac import footprint

TILE = 256
WORLD = 2 * math.pi * 6_378_137
"""Side of the world in metres of the projection."""
MOST_ZOOM = 24
NORTHMOST = math.degrees(math.atan(math.sinh(math.pi)))
"""Latitude of the edge of the square, in degrees."""
# A zoom whose pixels are this part larger than those of the scene is near enough.
TOLERANCE = 0.05


@dataclass(frozen=True)
class TileRange:
    """Rectangle of tiles of one zoom.

    Attributes:
        zoom: The zoom.
        left: First column.
        top: First row.
        right: Last column.
        bottom: Last row.
    """

    zoom: int
    left: int
    top: int
    right: int
    bottom: int

    def __len__(self) -> int:
        return (self.right - self.left + 1) * (self.bottom - self.top + 1)

    def __contains__(self, place: tuple[int, int]) -> bool:
        """Return whether a tile (column, row) of the zoom is in the rectangle."""
        return self.left <= place[0] <= self.right and self.top <= place[1] <= self.bottom

    def places(self) -> Iterator[tuple[int, int]]:
        """Yield column and row of each tile."""
        for y in range(self.top, self.bottom + 1):
            for x in range(self.left, self.right + 1):
                yield x, y


def tile_at(longitude: float, latitude: float, zoom: int) -> tuple[int, int]:
    """Return column and row of the tile that holds a place.

    Example:
        >>> tile_at(13.4, 52.52, 10)
        (550, 335)
    """
    number = 1 << zoom
    north = math.asinh(math.tan(math.radians(latitude)))
    x = math.floor((longitude + 180) / 360 * number)
    y = math.floor((1 - north / math.pi) / 2 * number)
    return min(max(x, 0), number - 1), min(max(y, 0), number - 1)


def tile_ranges(box: Sequence[float], zoom: int) -> list[TileRange]:
    """Return the tiles that a box of longitudes and latitudes touches.

    Args:
        box: West, south, east, north in degrees; west is larger than east across the antimeridian.
        zoom: The zoom.

    Returns:
        One rectangle, or two across the antimeridian.

    Example:
        >>> [len(one) for one in tile_ranges((13.0, 52.3, 13.8, 52.7), 10)]
        [12]
    """
    west, south, east, north = box
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    found = []
    for first, last in parts:
        left, top = tile_at(first, min(north, NORTHMOST), zoom)
        right, bottom = tile_at(last, max(south, -NORTHMOST), zoom)
        found.append(TileRange(zoom, left, top, right, bottom))
    return found


def scene_box(grid: SceneGrid) -> list[float]:
    """Return west, south, east and north of a grid in degrees, as far as Web Mercator reaches.

    Raises:
        SceneError: The grid has no CRS, or lies nowhere on the globe or in the projection.
    """
    if grid.crs is None:
        raise SceneError(
            'the scene has no CRS, and tiles need its place on the globe; predict it with '
            '--before-crs and --after-crs'
        )
    _, box = footprint(grid)
    west, south, east, north = box
    if south >= NORTHMOST or north <= -NORTHMOST:
        raise SceneError(
            f'the scene is at latitudes {south:.4g} to {north:.4g}; tiles in Web Mercator end at '
            f'{NORTHMOST:.4g} degrees'
        )
    return [west, max(south, -NORTHMOST), east, min(north, NORTHMOST)]


def native_zoom(grid: SceneGrid) -> int:
    """Return the lowest zoom that keeps every pixel of a grid, within 0..24.

    Its pixels are at most as large as those in the middle of the grid.

    Raises:
        MissingExtraError: pyproj is not installed.
    """
    pyproj = import_geo('pyproj', 'Tiles for the web')
    crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
    columns, rows = (np.array(one) for one in ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    x, y = apply_affine(grid.transform, grid.width / 2 + columns, grid.height / 2 + rows)
    east, north = pyproj.Transformer.from_crs(crs, 3857, always_xy=True).transform(x, y)
    sides = np.stack([east[1:] - east[0], north[1:] - north[0]])
    size = math.sqrt(abs(np.linalg.det(sides)))
    zoom = math.ceil(math.log2(WORLD / TILE / size) - TOLERANCE)
    return min(max(zoom, 0), MOST_ZOOM)


def least_zoom(box: Sequence[float]) -> int:
    """Return the highest zoom at which a box is at most as large as one tile.

    Example:
        >>> least_zoom((13.0, 52.3, 13.8, 52.7))
        8
    """
    west, south, east, north = box
    wide = (east - west) % 360 / 360
    high = (_north(north) - _north(south)) / 2
    return max(math.floor(-math.log2(max(wide, high, 2.0**-MOST_ZOOM))), 0)


def _north(latitude: float) -> float:
    return math.asinh(math.tan(math.radians(latitude))) / math.pi
