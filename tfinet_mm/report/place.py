"""Say where the pixels of a scene are, for a page without a library of map projections.

pyproj, of the extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.grid import SceneGrid, apply_affine

# Greatest error of the interpolated places, in pixels; more nodes than these aren't written.
TOLERANCE = 0.02
CELLS = (4, 8, 16, 32)
# Where interpolation in a cell is furthest off: bent lines in its middle, steps beside it.
SHARES = (0.21, 0.5, 0.79)


def scene_place(grid: SceneGrid) -> dict[str, Any] | None:
    """Return the georeference of a scene as plain values; None for a scene without CRS.

    Longitudes and latitudes (WGS 84) lie on a mesh over the scene, between whose nodes the page
    interpolates. Where degrees themselves would be bent too much, the nodes are unit vectors
    from the middle of the earth, which also work at the poles and across 180 degrees.

    Returns:
        ``transform``, six numbers from (column, row) to coordinates of the CRS; ``system``, its
        name; ``code``, such as ``EPSG:32633``, or an empty text; ``unit``, that of its
        coordinates; and ``mesh``: ``kind``, 'degrees' or 'vectors', ``cells`` along each side,
        and ``nodes`` (cells + 1, cells + 1) by rows, each (longitude, latitude) or (x, y, z).
        ``mesh`` is None where the CRS isn't tied to the earth.

    Raises:
        MissingExtraError: pyproj is not installed.

    Example:
        >>> from rasterio import Affine
        >>> from rasterio.crs import CRS
        >>> degrees = Affine(0.5, 0, 10, 0, -0.5, 60)
        >>> place = scene_place(SceneGrid(CRS.from_epsg(4326), degrees, 20, 40))
        >>> place['code'], place['mesh']['nodes']
        ('EPSG:4326', [[10.0, 60.0], [20.0, 60.0], [10.0, 40.0], [20.0, 40.0]])
    """
    if grid.crs is None:
        return None
    pyproj = import_geo('pyproj', 'A place on the ground')
    crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
    authority = crs.to_authority()
    return dict(
        transform=[float(value) for value in tuple(grid.transform)[:6]],
        system=crs.name,
        code='' if authority is None else ':'.join(authority),
        unit=crs.axis_info[0].unit_name if crs.axis_info else '',
        mesh=_mesh(pyproj, crs, grid),
    )


def _mesh(pyproj: Any, crs: Any, grid: SceneGrid) -> dict[str, Any] | None:
    try:
        to_globe = pyproj.Transformer.from_crs(crs, 'OGC:CRS84', always_xy=True)
    except pyproj.exceptions.ProjError:
        return None

    def degrees(shares: np.ndarray, shares_down: np.ndarray) -> np.ndarray:
        columns, rows = np.meshgrid(shares * grid.width, shares_down * grid.height)
        found = to_globe.transform(*apply_affine(grid.transform, columns, rows))
        return np.stack(found, axis=-1)

    ends = np.array([0.0, 1.0])
    step = 1 / np.array([grid.width, grid.height])
    pixel = _vectors(degrees(0.5 + ends * step[0], 0.5 + ends * step[1]))
    allowed = TOLERANCE * min(
        float(np.linalg.norm(pixel[0, 1] - pixel[0, 0])),
        float(np.linalg.norm(pixel[1, 0] - pixel[0, 0])),
    )
    for kind, cells in (('degrees', 1), *(('vectors', cells) for cells in CELLS)):
        corners = np.linspace(0, 1, cells + 1)
        nodes = degrees(corners, corners)
        if not np.isfinite(nodes).all():
            return None
        if kind == 'vectors':
            nodes = _vectors(nodes)
        if (
            max(_error(nodes, right, down, degrees) for right in SHARES for down in SHARES)
            <= allowed
        ):
            break
    digits = 9 if kind == 'degrees' else 11
    values = nodes.reshape(-1, nodes.shape[-1]).round(digits).tolist()
    return dict(kind=kind, cells=cells, nodes=values)


def _error(
    nodes: np.ndarray,
    right: float,
    down: float,
    degrees: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> float:
    """Return the greatest angle, in radians, by which interpolation at shares of cells is off."""
    cells = len(nodes) - 1
    upper = nodes[:-1, :-1] * (1 - right) + nodes[:-1, 1:] * right
    lower = nodes[1:, :-1] * (1 - right) + nodes[1:, 1:] * right
    between = upper * (1 - down) + lower * down
    if between.shape[-1] == 2:
        between = _vectors(between)
    between = between / np.linalg.norm(between, axis=-1, keepdims=True)
    truth = _vectors(degrees((np.arange(cells) + right) / cells, (np.arange(cells) + down) / cells))
    return float(np.linalg.norm(between - truth, axis=-1).max())


def _vectors(degrees: np.ndarray) -> np.ndarray:
    """Return unit vectors (..., 3) that point up at (longitude, latitude) (..., 2) in degrees."""
    longitude, latitude = np.moveaxis(np.radians(degrees), -1, 0)
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=-1)
