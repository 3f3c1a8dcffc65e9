"""Read polygons of changes, as written for a scene or as corrected, and burn them into windows.

pyogrio, shapely and pyproj, of the extra ``geo``, are imported where they are used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import Window
from tfinet_mm.io.rasters import PathLike, import_geo
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.vectorize.polygons import LAYER
from tfinet_mm.structures import ClassTable

UNCHANGED = 0
"""Code of unchanged pixels; (from - 1) K + to is that of changed ones, 1..K K."""
NAMES = 'from', 'to'


class ChangePolygons:
    """Polygons with the code of a transition each.

    Args:
        shapes: Polygons of shapely in the CRS of the grid.
        codes: Code of each. Where polygons overlap, the later one counts.
        grid: The grid of the scene.
    """

    def __init__(self, shapes: np.ndarray, codes: np.ndarray, grid: SceneGrid) -> None:
        shapely = import_geo('shapely', 'Reading polygons')
        self.shapes, self.codes = shapes, codes
        self._grid = grid
        self._tree = shapely.STRtree(shapes)

    def __len__(self) -> int:
        """Return their number."""
        return len(self.shapes)

    def burn(self, window: Window) -> np.ndarray:
        """Return the codes (h, w) int32 of a window; unchanged outside all polygons.

        A pixel belongs to a polygon that holds its middle.
        """
        return self._burn(window, self.codes)

    def outside(self) -> int:
        """Return the number of polygons that don't touch the scene."""
        shapely = import_geo('shapely', 'Reading polygons')
        scene = shapely.Polygon(np.stack(self._grid.ring(), axis=1))
        return len(self) - len(self._tree.query(scene, predicate='intersects'))

    def cover(self, window: Window) -> np.ndarray:
        """Return (h, w) bool, true in the polygons."""
        return self._burn(window, np.ones(len(self), np.int32)) > 0

    def _burn(self, window: Window, values: np.ndarray) -> np.ndarray:
        shapely = import_geo('shapely', 'Reading polygons')
        features = import_geo('rasterio.features', 'Reading polygons')
        part = self._grid.cut(window)
        x, y = part.outline()
        here = np.sort(self._tree.query(shapely.box(x.min(), y.min(), x.max(), y.max())))
        made = np.full((window.height, window.width), UNCHANGED, np.int32)
        if len(here):
            found = zip(self.shapes[here], values[here].tolist(), strict=True)
            features.rasterize(found, out=made, transform=part.transform)
        return made


def read_polygons(path: PathLike, grid: SceneGrid, classes: ClassTable) -> ChangePolygons:
    """Read polygons with the names of their classes.

    Args:
        path: A file of vectors that GDAL reads, such as a GeoPackage. Its layer is ``changes``,
            or the only one. The fields ``from`` and ``to`` have names of classes; a polygon with
            the name of unchanged pixels in both is unchanged.
        grid: The grid of the scene; polygons in another CRS are transformed.
        classes: The classes of the scene.

    Raises:
        FileNotFoundError: There is no such file.
        MissingExtraError: pyogrio, shapely or pyproj is not installed.
        SceneError: A field or a class is missing or wrong; the message names the row.
    """
    shapes, fields = _read(path, grid)
    missing = [name for name in NAMES if name not in fields]
    if missing:
        raise SceneError(
            f'{path} has the fields {", ".join(fields) or "none"}, expected from and to with names '
            'of classes'
        )
    codes = [
        _code(old, new, classes, f'{path}, row {row}')
        for row, (old, new) in enumerate(zip(fields['from'], fields['to'], strict=True), start=1)
    ]
    return ChangePolygons(shapes, np.array(codes, np.int32), grid)


def read_places(path: PathLike, grid: SceneGrid) -> ChangePolygons:
    """Read polygons without classes, such as those of reviewed places.

    Raises:
        FileNotFoundError: There is no such file.
        SceneError: It holds no polygons, or several layers.
    """
    shapes, _ = _read(path, grid)
    return ChangePolygons(shapes, np.ones(len(shapes), np.int32), grid)


def _read(path: PathLike, grid: SceneGrid) -> tuple[np.ndarray, dict[str, list[Any]]]:
    """Return polygons in the CRS of the grid, and the values of all fields."""
    pyogrio = import_geo('pyogrio', 'Reading polygons')
    shapely = import_geo('shapely', 'Reading polygons')
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file {path}')
    try:
        layers = [str(name) for name, _ in pyogrio.list_layers(path)]
        if LAYER not in layers and len(layers) != 1:
            raise SceneError(
                f'{path} has the layers {", ".join(layers) or "none"}, expected one of the name '
                f'{LAYER}, or a single layer'
            )
        layer = LAYER if LAYER in layers else layers[0]
        info, _, stored, columns = pyogrio.raw.read(path, layer=layer)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise SceneError(
            f'{path} can not be read as polygons ({error}); expected a GeoPackage as saved by QGIS'
        ) from error
    shapes = shapely.from_wkb(stored) if stored is not None else np.empty(0, object)
    kept = np.array([one is not None and not one.is_empty for one in shapes], bool)
    wrong = {one.geom_type for one in shapes[kept]} - {'Polygon', 'MultiPolygon'}
    if wrong:
        raise SceneError(f'{path} holds {", ".join(sorted(wrong))}, expected polygons')
    fields = {
        str(name): column[kept].tolist()
        for name, column in zip(info['fields'], columns, strict=True)
    }
    return _in_crs(shapes[kept], info['crs'], grid), fields


def _in_crs(shapes: np.ndarray, crs: str | None, grid: SceneGrid) -> np.ndarray:
    if crs is None or grid.crs is None:
        return shapes
    pyproj = import_geo('pyproj', 'Reading polygons')
    shapely = import_geo('shapely', 'Reading polygons')
    there, here = pyproj.CRS.from_user_input(crs), pyproj.CRS.from_wkt(grid.crs.to_wkt())
    if there == here:
        return shapes
    move = pyproj.Transformer.from_crs(there, here, always_xy=True)
    return np.asarray(
        shapely.transform(shapes, lambda points: np.stack(move.transform(*points.T), axis=1))
    )


def _code(old: Any, new: Any, classes: ClassTable, row: str) -> int:
    names = [str(name).strip() if name is not None else '' for name in (old, new)]
    unknown = [name for name in names if name not in classes.names]
    if unknown:
        raise SceneError(
            f'{row}: {unknown[0]!r} is no class in from or to, expected one of '
            f'{", ".join(classes.names)}'
        )
    first, second = (classes.names.index(name) for name in names)
    if not first and not second:
        return UNCHANGED
    if not first or not second:
        raise SceneError(
            f'{row}: from is {names[0]} and to is {names[1]}, expected a land cover on both dates, '
            f'or {classes.names[0]} on both'
        )
    return (first - 1) * classes.num_classes + second
