"""True areas on the ground of a scene's pixels, and from-to areas.

A pixel's area in its CRS is not the one on the ground: in degrees there is none, and in Web
Mercator it is four times too large at 60 degrees north. pyproj, of the extra ``geo``, is imported
where it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.grid import SceneGrid, apply_affine

METHODS = 'auto', 'planar', 'geodesic'
# 'auto' takes planar areas where they differ from geodesic ones by no more than this share.
MOST_DISTORTION = 0.005
# Points along each side of the scene at which the two are compared.
LOOKS = 17
# Between points this far apart (in metres, and in pixels), areas are interpolated, with an error
# of 5e-6 in a Mercator projection, where they differ most.
MESH_METRES, MESH_PIXELS = 20_000, 64
# Distance of two points whose coordinates are compared, where pixels are smaller: projections are
# inverted to a tenth of a millimetre or so, which is a lot for a small pixel.
DIFFERENCE_METRES = 100
METRES_A_DEGREE = 111_000


class PixelAreas:
    """Area of each pixel of a grid.

    Args:
        grid: The grid.
        method: ``'planar'``: the pixel's area in the plane of its CRS, as GIS programs count by
            default; it needs a projected CRS. ``'geodesic'``: the area on the ellipsoid.
            ``'auto'``: planar where the CRS is projected and its areas differ from those on the
            ellipsoid by no more than 0.5 % anywhere in the scene, as in UTM; geodesic elsewhere, as
            in degrees or in Web Mercator. Without a CRS each pixel counts 1.

    Attributes:
        method: 'planar', 'geodesic', or 'pixels' where the grid has no CRS.
        distortion: The largest relative difference of planar from geodesic areas in the scene;
            None where either is undefined.

    Raises:
        MissingExtraError: pyproj is not installed.
        SceneError: The method is unknown, or not possible with this CRS.

    Example:
        >>> from rasterio import Affine
        >>> from rasterio.crs import CRS
        >>> mercator = CRS.from_epsg(3857)
        >>> areas = PixelAreas(SceneGrid(mercator, Affine(10, 0, 0, 0, -10, 8_400_000), 5, 5))
        >>> areas.method, areas.rows(0, 2).shape, round(float(areas.rows(0, 1)[0, 0]), 2)
        ('geodesic', (2, 5), 25.08)
    """

    def __init__(self, grid: SceneGrid, method: str = 'auto') -> None:
        if method not in METHODS:
            raise SceneError(f'expected areas by {", ".join(METHODS)}; got {method!r}')
        self.grid = grid
        self.method = method
        self.distortion: float | None = None
        transform = grid.transform
        self._flat = abs(transform.a * transform.e - transform.b * transform.d)
        if grid.crs is None:
            if method != 'auto':
                raise SceneError(
                    f'areas by {method!r} need a CRS and the scene has none; state it with '
                    "before_crs (--before-crs), or count pixels with areas='auto'"
                )
            self.method, self._flat = 'pixels', 1.0
            return
        self._prepare(method)

    def _prepare(self, method: str) -> None:
        pyproj = import_geo('pyproj', 'An area on the ground')
        crs = pyproj.CRS.from_wkt(self.grid.crs.to_wkt())
        if crs.is_geographic and method == 'planar':
            raise SceneError(
                f'{crs.name} is in degrees and has no planar areas; choose areas by '
                "'geodesic' or 'auto'"
            )
        unit = 1.0 if crs.is_geographic else crs.axis_info[0].unit_conversion_factor
        side = self._flat**0.5 * (METRES_A_DEGREE if crs.is_geographic else unit)
        self._half = max(DIFFERENCE_METRES / 2 / side, 0.5)
        self._step = int(np.clip(MESH_METRES / side, 1, MESH_PIXELS))
        self._flat *= unit**2
        self._by_row = crs.is_geographic and self.grid.transform.b == self.grid.transform.d == 0
        looks = None
        if crs.geodetic_crs is not None:
            self._globe = _Globe(pyproj, crs)
            looks = self._looks()
        if looks is None:
            if method == 'geodesic' or crs.is_geographic:
                raise SceneError(
                    f'the scene, {self.grid.describe()}, lies nowhere on the globe, so that it has '
                    'no geodesic areas; state the right CRS with before_crs (--before-crs)'
                )
            self.method = 'planar'
            return
        if not crs.is_geographic:
            self.distortion = float(np.abs(self._flat / looks - 1).max())
        if method == 'auto':
            near = self.distortion is not None and self.distortion <= MOST_DISTORTION
            self.method = 'planar' if near else 'geodesic'

    def _looks(self) -> np.ndarray | None:
        """Return geodesic areas of pixels all over the scene that are on the globe, else None."""
        rows, columns = (
            np.linspace(0, length - 1, LOOKS) for length in (self.grid.height, self.grid.width)
        )
        found = self._geodesic(rows, columns)
        found = found[found > 0]
        return found if found.size else None

    @property
    def constant(self) -> float | None:
        """Return the area of a pixel where all have the same, else None."""
        return None if self.method == 'geodesic' else self._flat

    def rows(self, top: int, rows: int) -> np.ndarray:
        """Return areas of the pixels of some rows.

        Args:
            top: The first row.
            rows: Number of rows.

        Returns:
            float64 square metres (pixels where there is no CRS), (rows, width) or an array that
            broadcasts to that; 0 for pixels that aren't on the globe.
        """
        if self.method != 'geodesic':
            return np.full((1, 1), self._flat)
        wanted = np.arange(top, top + rows)
        if self._by_row:
            return self._geodesic(wanted, np.zeros(1))
        row_nodes = self._nodes(top, top + rows - 1, self.grid.height)
        column_nodes = self._nodes(0, self.grid.width - 1, self.grid.width)
        nodes = self._geodesic(row_nodes, column_nodes)
        nodes = interpolate_rows(nodes, row_nodes, wanted)
        return interpolate_rows(nodes.T, column_nodes, np.arange(self.grid.width)).T

    def _nodes(self, first: int, last: int, length: int) -> np.ndarray:
        """Return mesh rows or columns around first..last, the same ones whatever the block."""
        steps = np.arange(first // self._step, last // self._step + 2) * self._step
        return np.unique(np.minimum(steps, length - 1))

    def _geodesic(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return areas (R, C) on the ellipsoid of the pixels at some rows and columns.

        It is the area that steps of one column and of one row span on the ellipsoid, from
        differences over half a pixel or :data:`DIFFERENCE_METRES` to both sides.
        """
        x, y = np.meshgrid(columns + 0.5, rows + 0.5)
        half = self._half
        (east, north_east), (west, north_west), (low, north_low), (high, north_high) = (
            self._globe.place(*apply_affine(self.grid.transform, x + right, y + down))
            for right, down in ((half, 0), (-half, 0), (0, half), (0, -half))
        )
        with np.errstate(invalid='ignore'):
            spanned = _turn(east - west) * (north_low - north_high)
            spanned -= _turn(low - high) * (north_east - north_west)
            area = np.abs(spanned) / (2 * half) ** 2
            area *= self._globe.square((north_low + north_high) / 2)
        return np.where(np.isfinite(area), area, 0)


class _Globe:
    """Ellipsoid of a CRS, without any shift of its datum."""

    def __init__(self, pyproj: Any, crs: Any) -> None:
        globe = crs.geodetic_crs
        self._radians = globe.axis_info[0].unit_conversion_factor
        self._transformer = pyproj.Transformer.from_crs(crs, globe, always_xy=True)
        self._large = globe.ellipsoid.semi_major_metre
        self._flattening = 1 - (globe.ellipsoid.semi_minor_metre / self._large) ** 2

    def place(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return longitude and latitude in radians, infinite outside the reach of the CRS."""
        longitude, latitude = self._transformer.transform(x, y)
        return longitude * self._radians, latitude * self._radians

    def square(self, latitude: np.ndarray) -> np.ndarray:
        """Return the m² of a square radian of longitude and latitude: the ellipsoid's M N cos."""
        part = 1 - self._flattening * np.sin(latitude) ** 2
        return self._large**2 * (1 - self._flattening) * np.cos(latitude) / part**2


def _turn(difference: np.ndarray) -> np.ndarray:
    """Return a difference of longitudes in radians, the shorter way round."""
    return (difference + np.pi) % (2 * np.pi) - np.pi


def interpolate_rows(values: np.ndarray, nodes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return values (nodes, n) at rows of rising numbers, linearly at other rows (wanted, n)."""
    if len(nodes) == 1:
        return values[np.zeros(len(wanted), np.intp)]
    before = np.clip(np.searchsorted(nodes, wanted, 'right') - 1, 0, len(nodes) - 2)
    part = (wanted - nodes[before]) / (nodes[before + 1] - nodes[before])
    return values[before] + part[:, None] * (values[before + 1] - values[before])
