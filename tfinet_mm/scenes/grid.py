"""Find the pixel grid on which two scenes are compared: their overlap, in whole pixels.

rasterio, the extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import Window

# Two grids are the same lattice, and an edge lies on a pixel's edge, within this part of a pixel.
PIXEL_TOLERANCE = 0.01
# Straight edges bend in another CRS; this many points on each follow them.
EDGE_POINTS = 65
# Pixels up to which a size of pixels may be finer than both scenes, 64 GiB for three bands a date.
FINE_PIXELS = 1 << 30
# Number of times that a larger grid may have the pixels of the finer scene.
FINER = 16
# Greatest share of points that a warp may lose between two CRS.
LOST_SHARE = 0.01
EARTH_RADIUS = 6_371_000
# CRS of a warp between two rasters without any, for which GDAL has no other way.
PLANE = 'LOCAL_CS["plane",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'


@dataclass(frozen=True)
class SceneGrid:
    """Pixel grid on the ground.

    Attributes:
        crs: The ``rasterio.crs.CRS``, None where it is unknown.
        transform: The ``affine.Affine`` from (column, row) to coordinates of ``crs``;
            whole numbers are the corners of pixels.
        width: Columns.
        height: Rows.
    """

    crs: Any
    transform: Any
    width: int
    height: int

    def cut(self, window: Window) -> SceneGrid:
        """Return the part of the grid in ``window``, which may reach over its edges."""
        old = self.transform
        x, y = apply_affine(old, window.left, window.top)
        moved = type(old)(old.a, old.b, x, old.d, old.e, y)
        return replace(self, transform=moved, width=window.width, height=window.height)

    def reduced(self, max_side: int) -> SceneGrid:
        """Return the same extent in larger pixels, so that no side has more than ``max_side``."""
        factor = max(self.width, self.height) / max_side
        if factor <= 1:
            return self
        return self.in_pixels(*(max(round(s / factor), 1) for s in (self.width, self.height)))

    def in_pixels(self, width: int, height: int) -> SceneGrid:
        """Return the same extent in another number of pixels."""
        old, x, y = self.transform, self.width / width, self.height / height
        transform = type(old)(old.a * x, old.b * y, old.c, old.d * x, old.e * y, old.f)
        return SceneGrid(self.crs, transform, width, height)

    def outline(self) -> tuple[np.ndarray, np.ndarray]:
        """Return points all around the edge: x and y in ``crs``, each of one dimension."""
        along = np.linspace(0, 1, EDGE_POINTS)
        low, high = np.zeros_like(along), np.ones_like(along)
        columns = np.concatenate([along, high, along, low]) * self.width
        rows = np.concatenate([low, along, high, along]) * self.height
        return apply_affine(self.transform, columns, rows)

    def ring(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the points of :meth:`outline` in order around the grid, the first one last too."""
        sides = (np.split(one, 4) for one in self.outline())
        x, y = (np.concatenate([*one[:2], one[2][::-1], one[3][::-1]]) for one in sides)
        return x, y

    def centre(self) -> tuple[float, float]:
        """Return the coordinates of its middle."""
        x, y = apply_affine(self.transform, self.width / 2, self.height / 2)
        return float(x), float(y)

    def describe(self) -> str:
        """Return extent and CRS as text, for messages."""
        x, y = self.outline()
        name = 'no CRS' if self.crs is None else self.crs.to_string()
        return f'x {x.min():.10g} to {x.max():.10g}, y {y.min():.10g} to {y.max():.10g} ({name})'


def apply_affine(transform: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Transform points, numbers or arrays, by an ``affine.Affine``.

    The sums are written out, since affine 2 and 3 have different operators for it.
    """
    return (
        transform.a * x + transform.b * y + transform.c,
        transform.d * x + transform.e * y + transform.f,
    )


def pixel_offset(target: SceneGrid, source: SceneGrid) -> tuple[int, int] | None:
    """Return the column and row of the source at the target's first pixel, if both are one lattice.

    Args:
        target: A grid.
        source: Another grid.

    Returns:
        The offset, which may be negative; None where the CRS or the pixels
        differ, or lie shifted by parts of a pixel.
    """
    if target.crs != source.crs:
        return None
    corners = [(0, 0), (target.width, 0), (0, target.height)]
    there = [
        apply_affine(~source.transform, *apply_affine(target.transform, *corner))
        for corner in corners
    ]
    left, top = (round(value) for value in there[0])
    for (column, row), (x, y) in zip(corners, there, strict=True):
        if max(abs(x - column - left), abs(y - row - top)) > PIXEL_TOLERANCE:
            return None
    return left, top


def common_grid(
    before: SceneGrid,
    after: SceneGrid,
    grid: str | float = 'before',
    names: tuple[str, ...] = ('', ''),
) -> SceneGrid:
    """Return the grid that covers the overlap of two scenes.

    Args:
        before: Grid of the first scene.
        after: Grid of the second.
        grid: Pixels of the result: those of ``'before'`` or ``'after'``, or a
            number: square pixels of that size in the units of ``before``'s CRS,
            north up, the first at the upper left corner of ``before``.
        names: Names of the scenes in messages.

    Returns:
        The pixels of that grid that lie wholly in the other scene's extent (in
        its bounding box as seen from this grid, where the scenes are rotated
        against each other; pixels outside it are nodata there).

    Raises:
        SceneError: The scenes don't overlap by a whole pixel, or ``grid`` is
            out of range.

    Example:
        >>> from rasterio import Affine
        >>> from rasterio.crs import CRS
        >>> utm = CRS.from_epsg(32633)
        >>> before = SceneGrid(utm, Affine(10, 0, 5000, 0, -10, 9000), 100, 100)
        >>> after = SceneGrid(utm, Affine(20, 0, 5895, 0, -20, 8505), 100, 100)
        >>> overlap = common_grid(before, after)
        >>> overlap.transform.c, overlap.transform.f, overlap.width, overlap.height
        (5900.0, 8500.0, 10, 50)
    """
    base, other = (after, before) if grid == 'after' else (before, after)
    if grid not in ('before', 'after'):
        size = _size(grid)
        base = _squares(before, size)
        _check_fineness(base, before, after, size)
    left, top, right, bottom = 0, 0, base.width, base.height
    columns, rows = outline_in(base, other)
    # The outline of a place around a pole, or across 180 degrees, doesn't enclose it.
    columns, rows = map(np.concatenate, zip((columns, rows), inside_of(base, other), strict=True))
    if columns.size:
        left = max(left, math.ceil(columns.min() - PIXEL_TOLERANCE))
        right = min(right, math.floor(columns.max() + PIXEL_TOLERANCE))
        top = max(top, math.ceil(rows.min() - PIXEL_TOLERANCE))
        bottom = min(bottom, math.floor(rows.max() + PIXEL_TOLERANCE))
    covers = f'before{names[0]} covers {before.describe()}, after{names[1]} {after.describe()}'
    if not columns.size or right <= left or bottom <= top:
        raise SceneError(
            f"the scenes don't overlap by a whole pixel: {covers}; give two scenes of one "
            'place, or replace a wrong CRS by before_crs or after_crs (--before-crs, --after-crs)'
        )
    _check_one_piece(base, other, (left, right), (top, bottom), covers)
    return base.cut(Window(left, top, right - left, bottom - top))


def _check_one_piece(
    base: SceneGrid,
    other: SceneGrid,
    columns: tuple[int, int],
    rows: tuple[int, int],
    covers: str,
) -> None:
    """Refuse two scenes in degrees that overlap in another turn of the circle as well."""
    circle = turn(base.crs)
    if circle is None or base.crs != other.crs:
        return
    for turns in (-1, 1):
        old = other.transform
        place = type(old)(old.a, old.b, old.c + turns * circle, old.d, old.e, old.f)
        x, y = outline_in(base, replace(other, transform=place))
        left, right = max(float(x.min()), 0.0), min(float(x.max()), float(base.width))
        lost = max(min(right, columns[0]) - left, right - max(left, columns[1]))
        common = min(float(y.max()), rows[1]) - max(float(y.min()), rows[0])
        # Scenes around the globe may repeat a column.
        if lost > 1 + PIXEL_TOLERANCE and common > PIXEL_TOLERANCE:
            raise SceneError(
                f'the scenes overlap in two pieces, on both sides of the 180th meridian: {covers}; '
                'write both in longitudes of one range: gdalwarp -te -180 -90 180 90'
            )


def _size(grid: Any) -> float:
    """Return the option grid as a size of pixels."""
    if not isinstance(grid, str):
        with contextlib.suppress(TypeError, ValueError):
            return float(grid)
    raise SceneError(
        f"expected grid='before', 'after' or the size of a pixel as a number, got {grid!r}"
    )


def _squares(scene: SceneGrid, size: float) -> SceneGrid:
    """Return a grid of north-up square pixels over a scene's extent."""
    x, y = scene.outline()
    spans = float(np.ptp(x)), float(np.ptp(y))
    if not (math.isfinite(size) and 0 < size <= min(spans)):
        raise SceneError(
            f'a grid with pixels of {size:g} was asked for, expected more than 0 and at most '
            f'{min(spans):g}: the number counts in the units of the CRS of before, whose extent '
            f'is {scene.describe()}'
        )
    width, height = (math.floor(span / size + PIXEL_TOLERANCE) for span in spans)
    transform = type(scene.transform)(size, 0.0, float(x.min()), 0.0, -size, float(y.max()))
    return SceneGrid(scene.crs, transform, width, height)


def _check_fineness(base: SceneGrid, before: SceneGrid, after: SceneGrid, size: float) -> None:
    """Refuse a size of pixels that makes many more of them than the scenes have."""
    pixels = base.width * base.height
    if pixels <= FINE_PIXELS:
        return
    own = max(before.width * before.height, after.width * after.height)
    if pixels > FINER * own:
        raise SceneError(
            f'grid={size:g} (--grid) makes {base.width} x {base.height} pixels of the '
            f'{before.width} x {before.height} of before, expected at most {FINER} times the '
            'pixels of the finer scene; the number counts in the units of the CRS of before '
            f'({before.describe()}): give a larger one'
        )


def check_grid(grid: SceneGrid, name: str) -> None:
    """Refuse a transform that places no pixels, and latitudes beyond a pole.

    Args:
        grid: Grid of a file.
        name: Date and file, for messages.

    Raises:
        SceneError: It does not place pixels.
    """
    place = [float(value) for value in grid.transform.to_gdal()]
    fix = 'set the right one (gdal_edit -a_ullr), or --same-grid if both files show the same pixels'
    if not np.isfinite(place).all():
        raise SceneError(f'{name} has the transform {place}, expected finite numbers; {fix}')
    x0, a, b, y0, d, e = place
    across, down = math.hypot(a, d), math.hypot(b, e)
    if abs(a * e - b * d) <= 1e-9 * across * down:
        raise SceneError(f'{name} has the transform {place}, whose pixels have no area; {fix}')
    # Neighbouring pixels must differ in float64.
    if min(across, down) < 1e-12 * max(abs(x0), abs(y0)):
        raise SceneError(
            f'{name} has the transform {place}, whose pixels are too small to be told apart at '
            f'these coordinates; {fix}'
        )
    if grid.crs is not None and grid.crs.is_geographic:
        _, y = grid.outline()
        beyond = _degrees(grid.crs, float(np.abs(y).max())) - 90
        # Grids of pixel centres reach half a pixel over the pole.
        if beyond > _degrees(grid.crs, max(across, down)):
            raise SceneError(
                f'{name} covers {grid.describe()}, expected latitudes from -90 to 90 degrees; its '
                'CRS or its transform is wrong: state the CRS (--before-crs, --after-crs), or '
                'write the file with the right transform'
            )


def _degrees(crs: Any, value: float) -> float:
    """Return an angle of a geographic CRS in degrees."""
    return math.degrees(value * _radians(crs))


def _radians(crs: Any) -> float:
    """Return the radians of a unit of a geographic CRS."""
    try:
        return float(crs.units_factor[1])
    except Exception:  # rasterio raises errors of several kinds for rare units.
        return math.radians(1)


def metres_a_unit(crs: Any) -> float:
    """Return the length of a unit of a CRS; of a geographic one, along a meridian."""
    if crs.is_geographic:
        return EARTH_RADIUS * _radians(crs)
    try:
        return float(crs.units_factor[1])
    except Exception:  # See _radians.
        return 1.0


def turn(crs: Any) -> float | None:
    """Return the length of a full circle in units of a geographic CRS; None for others."""
    if crs is None or not crs.is_geographic:
        return None
    # Rounded, as files state the unit to 16 digits.
    return round(2 * math.pi / _radians(crs), 9)


def near(x: np.ndarray, grid: SceneGrid) -> np.ndarray:
    """Return longitudes in the turn of the circle whose middle is the centre of ``grid``."""
    circle = turn(grid.crs)
    if circle is None:
        return x
    centre = grid.centre()[0]
    # Those that lie inside already stay as they are, bit by bit.
    turns = np.floor((x - centre) / circle + 0.5)
    return np.where(turns == 0, x, x - turns * circle)


def beside(grid: SceneGrid, other: SceneGrid) -> SceneGrid:
    """Return ``grid`` moved by whole turns of the circle, to the longitudes of ``other``.

    Example:
        >>> from rasterio import Affine
        >>> from rasterio.crs import CRS
        >>> degrees = CRS.from_epsg(4326)
        >>> east = SceneGrid(degrees, Affine(0.1, 0, 179.5, 0, -0.1, 10), 10, 10)
        >>> west = SceneGrid(degrees, Affine(0.1, 0, -180.5, 0, -0.1, 10), 10, 10)
        >>> beside(west, east).transform.c
        179.5
    """
    circle = turn(grid.crs)
    if circle is None or other.crs is None:
        return grid
    x, y = (np.array([value]) for value in other.centre())
    x, y = moved(other, grid, x, y)
    if not x.size:
        return grid
    turns = round((float(x[0]) - grid.centre()[0]) / circle)
    old = grid.transform
    place = type(old)(old.a, old.b, old.c + turns * circle, old.d, old.e, old.f)
    return replace(grid, transform=place) if turns else grid


def warp_crs(source: SceneGrid, target: SceneGrid) -> Any:
    """Return the CRS to warp ``source`` in: its own, or one with longitudes beyond 180 degrees.

    PROJ returns longitudes from -180 to 180; a scene across 180 degrees has others. Where
    neither grid has a CRS, it is that of a plane.
    """
    if source.crs is None:
        return plane_crs()
    circle = turn(source.crs)
    if circle is None or source.crs == target.crs:
        return source.crs
    x, _ = source.outline()
    if np.abs(x).max() <= circle / 2 * (1 + 1e-12):
        return source.crs
    text = source.crs.to_proj4()
    middle = _degrees(source.crs, source.centre()[0])
    return type(source.crs).from_user_input(f'{text} +lon_wrap={middle:.12g} +type=crs')


def plane_crs() -> Any:
    """Return a CRS of a plane that lies nowhere on Earth."""
    from rasterio.crs import CRS

    return CRS.from_wkt(PLANE)


def check_systems(before: SceneGrid, after: SceneGrid, names: tuple[str, str]) -> None:
    """Refuse two CRS between which PROJ knows no way.

    Args:
        before: Grid of the first scene.
        after: Grid of the second.
        names: Date and file of both, for messages.

    Raises:
        SceneError: They are of two planets, one has local coordinates, or a server that PROJ was
            told to ask doesn't answer.
    """
    x, y = (np.array([value]) for value in after.centre())
    try:
        transform_points(after.crs, before.crs, x, y)
    except SceneError as error:
        if 'Cannot open http' in str(error.__cause__):
            raise SceneError(
                f'{names[0]} and {names[1]} have CRS between which PROJ looks for a file on a '
                f'server, as PROJ_NETWORK=ON asks for, and gets none: {error.__cause__}. Check the '
                'network, or leave PROJ_NETWORK out for a coarser shift'
            ) from error
        raise SceneError(
            f'{names[0]} and {names[1]} have CRS between which coordinates can not be '
            f'transformed, {_crs_name(before.crs)} and {_crs_name(after.crs)} (local coordinates, '
            'or another planet); give files of one place, or state the CRS of a wrong one: '
            'before_crs, after_crs (--before-crs, --after-crs)'
        ) from error


def check_warp(source: SceneGrid, target: SceneGrid, name: str) -> None:
    """Refuse a warp that would lose a part of the common ground.

    Points of the source are followed to the target and back, as warping does.

    Args:
        source: Grid of the file that is warped.
        target: Grid that it is warped to.
        name: Date and file, for messages.

    Raises:
        SceneError: More than a hundredth of the points come back outside the source.
    """
    if source.crs == target.crs:
        return
    columns, rows = _lattice(source)
    x, y = apply_affine(source.transform, columns, rows)
    there = near_all(target, *transform_points(source.crs, target.crs, x, y))
    back = transform_points(target.crs, warp_crs(source, target), *there)
    with np.errstate(invalid='ignore'):
        landed = _is_inside(target, *there)
        lost = landed & ~_is_inside(source, *back, margin=1)
    if lost.sum() > LOST_SHARE * landed.sum():
        raise SceneError(
            f'{name} can not be warped to the grid of the result: {lost.sum()} of {landed.sum()} '
            f'points would be lost. It covers {source.describe()}, the grid {target.describe()}; '
            'one reaches across the 180th meridian or a pole, where its coordinates break off. '
            'Warp both files to one CRS that is continuous there, such as the UTM zone or a '
            'polar stereographic one: gdalwarp -t_srs EPSG:...'
        )


def near_all(grid: SceneGrid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points with their longitudes in the turn of ``grid``; see :func:`near`."""
    with np.errstate(invalid='ignore'):
        return near(x, grid), y


def _lattice(grid: SceneGrid) -> tuple[np.ndarray, np.ndarray]:
    along = np.linspace(0, 1, EDGE_POINTS)
    columns, rows = np.meshgrid(along * grid.width, along * grid.height)
    return columns.ravel(), rows.ravel()


def _is_inside(grid: SceneGrid, x: np.ndarray, y: np.ndarray, margin: float = 0) -> np.ndarray:
    """Return whether points lie in a grid, or up to ``margin`` pixels beside it."""
    columns, rows = apply_affine(~grid.transform, x, y)
    inside: np.ndarray = (columns >= -margin) & (columns <= grid.width + margin)
    return inside & (rows >= -margin) & (rows <= grid.height + margin)


def inside_of(base: SceneGrid, other: SceneGrid) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and rows of points all over ``base`` that lie in ``other``."""
    columns, rows = _lattice(base)
    if base.crs == other.crs:
        # Straight edges in both; the outline has it all.
        return columns[:0], rows[:0]
    x, y = apply_affine(base.transform, columns, rows)
    with np.errstate(invalid='ignore'):
        there = near_all(other, *transform_points(base.crs, other.crs, x, y))
        inside = _is_inside(other, *there)
    return columns[inside], rows[inside]


def transform_points(
    source: Any, target: Any, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Transform points; infinite where there is no answer."""
    if source == target:
        return x, y
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    try:
        found = transform(source, target, x.tolist(), y.tolist())
    except (CPLE_BaseError, RasterioError) as error:
        raise SceneError(
            'coordinates can not be transformed between the CRS of the scenes, '
            f'{_crs_name(source)} and {_crs_name(target)}'
        ) from error
    return np.asarray(found[0]), np.asarray(found[1])


def _crs_name(crs: Any) -> str:
    return ' '.join(str(crs.to_string()).split())[:80]


def moved(
    source: SceneGrid, target: SceneGrid, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return points in the CRS of ``target``, without those that have no place there."""
    x, y = transform_points(source.crs, target.crs, x, y)
    finite = np.isfinite(x) & np.isfinite(y)
    return x[finite], y[finite]


def outline_in(base: SceneGrid, other: SceneGrid) -> tuple[np.ndarray, np.ndarray]:
    """Return the outline of ``other`` in columns and rows of ``base``."""
    x, y = other.outline()
    if base.crs != other.crs:
        x, y = moved(other, base, x, y)
        x = near(x, base)
    return apply_affine(~base.transform, x, y)
