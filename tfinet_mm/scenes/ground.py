"""Say in metres and in compass directions what a shift in pixels is on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.grid import SceneGrid, apply_affine

# Greatest angle, in degrees, at which the columns of a grid still run east.
MOST_TURN = 15
# Pixels over which a step is measured.
STEP = 10


@dataclass(frozen=True)
class Ground:
    """Steps of a grid's pixels on the ground.

    Attributes:
        column_metres: Length of a step to the next column in metres; None where it isn't known.
        row_metres: The same of a row.
        is_north_up: Columns run east and rows run south.
    """

    column_metres: float | None = None
    row_metres: float | None = None
    is_north_up: bool = False

    def name_column(self, right: float) -> str:
        """Return a shift along the columns as text.

        Example:
            >>> Ground(0.5, 0.5, True).name_column(-1.8), Ground().name_column(2)
            ('1.80 px (0.90 m) west', '2.00 px right')
        """
        words = ('east', 'west') if self.is_north_up else ('right', 'left')
        return _name(right, self.column_metres, words)

    def name_row(self, down: float) -> str:
        """Return a shift along the rows as text."""
        words = ('south', 'north') if self.is_north_up else ('down', 'up')
        return _name(down, self.row_metres, words)


def _name(pixels: float, metres: float | None, words: tuple[str, str]) -> str:
    # A shift that is shown as 0 has no direction of its own.
    word = words[pixels < -0.005]
    length = '' if metres is None else f' ({abs(pixels) * metres:.2f} m)'
    return f'{abs(pixels):.2f} px{length} {word}'


def ground_steps(grid: SceneGrid) -> Ground:
    """Return the steps of a grid's pixels in its middle, on the ellipsoid of its CRS.

    Raises:
        MissingExtraError: pyproj is not installed.

    Example:
        >>> from rasterio import Affine
        >>> from rasterio.crs import CRS
        >>> degrees = SceneGrid(CRS.from_epsg(4326), Affine(1e-5, 0, 12, 0, -1e-5, 60), 9, 9)
        >>> steps = ground_steps(degrees)
        >>> f'{steps.column_metres:.3f} {steps.row_metres:.3f} {steps.is_north_up}'
        '0.558 1.114 True'
    """
    if grid.crs is None:
        return Ground()
    pyproj = import_geo('pyproj', 'A length on the ground')
    crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
    if crs.geodetic_crs is None:
        return Ground()
    column, row = grid.width / 2, grid.height / 2
    half = STEP / 2
    x, y = zip(
        *(
            apply_affine(grid.transform, column + right, row + down)
            for right, down in ((-half, 0), (half, 0), (0, -half), (0, half))
        ),
        strict=True,
    )
    to_globe = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    unit = crs.geodetic_crs.axis_info[0].unit_conversion_factor
    places = [[math.degrees(one * unit) for one in side] for side in to_globe.transform(x, y)]
    if not all(math.isfinite(one) for side in places for one in side):
        return Ground()
    (west, east, top, bottom), (south, north, upper, lower) = places
    globe = crs.get_geod()
    bearing, _, across = globe.inv(west, south, east, north)
    other, _, along = globe.inv(top, upper, bottom, lower)
    turned = max(abs(bearing - 90), abs(abs(other) - 180))
    return Ground(across / STEP, along / STEP, turned <= MOST_TURN)
