"""Read back the folder of a predicted scene."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import ManifestError, SceneError
from tfinet_mm.io.geopackage import read_rows
from tfinet_mm.io.images import check_window
from tfinet_mm.io.rasters import import_geo, open_raster
from tfinet_mm.scenes.from_to import FromToAreas
from tfinet_mm.scenes.grid import SceneGrid, apply_affine
from tfinet_mm.scenes.provenance import check_origin
from tfinet_mm.scenes.registration_file import REGISTRATION_FILE
from tfinet_mm.scenes.result_rasters import ResultRaster, scene_rasters
from tfinet_mm.scenes.styles import raster_style
from tfinet_mm.scenes.totals import TOTALS_FILE
from tfinet_mm.scenes.vectorize.polygons import (
    AREA_FIELDS,
    GEOMETRY,
    LAYER,
    PolygonSummary,
    read_summary,
)
from tfinet_mm.scenes.write_results import AREAS_FILE, POLYGONS_FILE, PROBABILITIES_FILE
from tfinet_mm.structures import ClassTable
from tfinet_mm.utils.fingerprints import fingerprints, remember
from tfinet_mm.utils.manifest import read_json

SCENE_FILE = 'scene.json'


def result_files(
    classes: ClassTable, polygons: bool, registration: bool = False, probabilities: bool = False
) -> list[str]:
    """Return the names of the files that a finished scene has beside ``scene.json``."""
    rasters = scene_rasters(classes)
    names = [f'{name}.tif' for name in rasters]
    names += [f'{name}.qml' for name, raster in rasters.items() if raster_style(raster)]
    names += [AREAS_FILE, Path(AREAS_FILE).with_suffix('.csv').name, TOTALS_FILE]
    names += ['before.jpg', 'after.jpg']
    names += [POLYGONS_FILE] if polygons else []
    names += [PROBABILITIES_FILE] if probabilities else []
    return sorted([*names, REGISTRATION_FILE] if registration else names)


def raster_hashes(folder: str | Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return ``sha256`` and ``stat`` of each GeoTIFF among some files, by its name."""
    tiffs = [name for name in names if name.endswith('.tif')]
    entries = fingerprints(Path(folder) / name for name in tiffs)
    return {
        name: {key: entry[key] for key in ('sha256', 'stat')}
        for name, entry in zip(tiffs, entries, strict=True)
    }


def is_finished(folder: str | Path) -> bool:
    """Return whether a folder holds all files of a scene; ``scene.json`` is written last."""
    try:
        found = read_json(Path(folder) / SCENE_FILE)
    except ManifestError:
        return False
    return found is not None and all(
        (Path(folder) / name).is_file() for name in found.get('files', ())
    )


def warn_of_leftovers(folder: str | Path, files: Iterable[str]) -> None:
    """Warn of what is beside results that are going to be replaced, such as a report of them.

    Such files stay, since some are the work of hours, such as labelled points.

    Args:
        folder: The folder of a scene, finished or not; where it isn't, there is nothing to say.
        files: Names of the new files, see :func:`result_files`.
    """
    folder = Path(folder)
    try:
        found = read_json(folder / SCENE_FILE)
    except ManifestError:
        found = {}
    if found is None:
        return
    known = {SCENE_FILE, *files, *found.get('files', ())}
    # GDAL keeps the statistics of a raster there, which are written again with it.
    known |= {f'{name}.aux.xml' for name in known}
    names = sorted(path.name for path in folder.iterdir())
    left = [name for name in names if name not in known and not name.startswith('.')]
    if left:
        warnings.warn(
            f'the results in {folder} are replaced, and {", ".join(left)} beside them may be of '
            'the old ones: make them again, or delete them',
            stacklevel=2,
        )


@dataclass(frozen=True)
class ChangePolygon:
    """Changed region of a scene.

    Attributes:
        number: Its rank by area, from 1.
        old: Name of the class before.
        new: Name of the class after.
        from_class: Number 1..K of the class before.
        to_class: Number of the class after.
        area: Its area, in ``unit``.
        unit: 'm2', or 'pixels' for a scene without CRS.
        mean_prob: Mean of P(changed) in it.
        bounds: First column, first row, and the ones after the last, in pixels of the grid.
        outline: Its parts, each an outer ring and those of its holes, each (n, 2) int64: column
            and row of corners of pixels, the last the first again.
    """

    number: int
    old: str
    new: str
    from_class: int
    to_class: int
    area: float
    unit: str
    mean_prob: float
    bounds: tuple[int, int, int, int]
    outline: tuple[tuple[np.ndarray, ...], ...] = field(compare=False)


class SceneResults:
    """Results of one scene.

    Args:
        folder: The folder that holds ``scene.json``.

    Attributes:
        folder: The folder.
        scene: Content of ``scene.json``.
        classes: The K + 1 classes, the first that of unchanged pixels.
        grid: The grid of all rasters.
        rasters: The :class:`~tfinet_mm.scenes.result_rasters.ResultRaster` of each raster by name.

    Raises:
        SceneError: The scene isn't finished.
        ManifestError: ``scene.json`` is damaged.
        MissingExtraError: rasterio is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / SCENE_FILE
        if not path.is_file():
            raise SceneError(
                f'{self.folder} holds no finished scene, there is no {SCENE_FILE}; predict it, or '
                'resume the prediction'
            )
        keys = ('class_names', 'palette')
        self.scene: dict[str, Any] = read_json(path, keys, 'predict the scene again') or {}
        self.classes = ClassTable(self.scene['class_names'], self.scene['palette'])
        self.rasters: dict[str, ResultRaster] = scene_rasters(self.classes)
        self._compared: set[str] = set()
        with self.open('transition') as raster:
            place = raster.transform
            self.grid = SceneGrid(raster.crs, place, raster.width, raster.height)

    def path(self, name: str) -> Path:
        """Return the GeoTIFF of a raster of the scene.

        Raises:
            SceneError: There is no raster of that name.
        """
        if name not in self.rasters:
            raise SceneError(f'expected one of {", ".join(self.rasters)}; got {name!r}')
        return self.folder / f'{name}.tif'

    @contextmanager
    def open(self, name: str) -> Iterator[Any]:
        """Open the GeoTIFF of a raster with rasterio, for a with statement.

        A warning says that it was edited since it was written.

        Raises:
            OSError: It can't be read.
            SceneError: Its tags are those of another scene.
        """
        path = self.path(name)
        with open_raster(path) as raster:
            check_origin(path, raster, self.scene.get('provenance'))
            self.warn_if_edited(path)
            yield raster

    def warn_if_edited(self, path: Path) -> None:
        """Warn of a GeoTIFF of the scene that isn't as it was written, once for each."""
        entry = self.scene.get('rasters', {}).get(path.name)
        if entry is None or path.name in self._compared:
            return
        self._compared.add(path.name)
        # So that a file that is untouched needn't be read.
        remember(entry)
        if fingerprints([path])[0]['sha256'] != entry['sha256']:
            warnings.warn(
                f'{path} was edited since it was written (its SHA-256 is not that in '
                f'{SCENE_FILE}): {AREAS_FILE}, the polygons and the other maps are of the map '
                'before; copy its own file back, or make them of this one (tfinet finish)',
                stacklevel=5,
            )

    def read(
        self, name: str, window: Sequence[int] | None = None, side: int | None = None
    ) -> np.ndarray:
        """Read a raster, or a part of it, or a reduced picture of it.

        Args:
            name: Its name.
            window: (left, top, width, height) in pixels of the grid, all of it inside; the
                default is the whole scene.
            side: Greatest length of the longer side of the result in pixels; overviews are
                used. Reduced classes are those of single pixels, probabilities are means.

        Returns:
            (h, w) of the raster's type, with its nodata value.

        Raises:
            ImageFormatError: The window reaches over the grid.
            SceneError: There is no such raster, or ``side`` is below 1.
        """
        if side is not None and side < 1:
            raise SceneError(f'a picture has a side of at least 1 pixel, got {side}')
        rasterio = import_geo('rasterio', 'Reading a scene')
        enums = import_geo('rasterio.enums', 'Reading a scene')
        size = self.grid.width, self.grid.height
        box = check_window(str(self.path(name)), window or (0, 0, *size), *size)
        factor = 1.0 if side is None else min(1.0, side / max(box.width, box.height))
        shape = tuple(max(round(length * factor), 1) for length in (box.height, box.width))
        with self.open(name) as raster:
            return raster.read(
                1,
                window=rasterio.windows.Window(*box),
                out_shape=shape,
                resampling=enums.Resampling[self.rasters[name].resampling],
            )

    def areas(self) -> FromToAreas:
        """Read the from-to areas."""
        path = self.folder / AREAS_FILE
        found = read_json(path, fix='predict the scene again')
        if found is None:
            raise FileNotFoundError(f'there is no {path}; predict the scene again')
        return FromToAreas.from_json(found)

    def polygon_summary(self) -> PolygonSummary | None:
        """Return number and area of the polygons; None for a scene without polygons."""
        path = self.folder / POLYGONS_FILE
        return read_summary(path) if path.is_file() else None

    def largest(self, number: int) -> list[ChangePolygon]:
        """Read the largest polygons, or all where there are fewer; none for a scene without.

        Raises:
            MissingExtraError: shapely is not installed.
        """
        summary = self.polygon_summary()
        if summary is None or number < 1:
            return []
        shapely = import_geo('shapely', 'Reading polygons')
        area = AREA_FIELDS[summary.unit]
        names = ('from', 'to', 'from_class', 'to_class', area, 'mean_prob')
        stored, fields = read_rows(self.folder / POLYGONS_FILE, LAYER, names, number, GEOMETRY)
        inverse = ~self.grid.transform
        found = []
        for index, shape in enumerate(shapely.from_wkb(stored)):
            outline = tuple(
                tuple(
                    np.stack(apply_affine(inverse, *shapely.get_coordinates(ring).T), axis=1)
                    .round()
                    .astype(np.int64)
                    for ring in shapely.get_rings(part)
                )
                for part in shapely.get_parts(shape)
            )
            corners = np.concatenate([ring for part in outline for ring in part])
            bounds = [int(value) for value in (*corners.min(0), *corners.max(0))]
            found.append(
                ChangePolygon(
                    number=index + 1,
                    old=fields['from'][index],
                    new=fields['to'][index],
                    from_class=fields['from_class'][index],
                    to_class=fields['to_class'][index],
                    area=fields[area][index],
                    unit=summary.unit,
                    mean_prob=fields['mean_prob'][index],
                    bounds=(bounds[0], bounds[1], bounds[2], bounds[3]),
                    outline=outline,
                )
            )
        return found
