"""Make the files of a scene from its staged maps: rasters, areas and polygons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfinet_mm.io.rasters import (
    check_same_size,
    open_raster,
    raw_writer,
    read_rows,
    row_blocks,
)
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.cog import write_cog
from tfinet_mm.scenes.from_to import from_to_areas
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.result_rasters import CHANGE_NODATA, scene_rasters, transition_codes
from tfinet_mm.scenes.validity import BOTH_SEEN, UNKNOWN
from tfinet_mm.scenes.vectorize.polygons import read_summary, write_polygons
from tfinet_mm.structures import ClassTable
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.utils.manifest import read_json
from tfinet_mm.version import __version__

STAGED = 'change_prob', 'land_cover_from', 'land_cover_to'
"""Maps from which the other rasters are made."""
VALID = 'valid'
DERIVED = 'change', 'transition'
POLYGONS_FILE = 'changes.gpkg'
AREAS_FILE = 'areas.json'
SETTINGS_FILE = 'output_settings.json'


def write_results(
    out: str | Path,
    staged: Mapping[str, Path],
    grid: SceneGrid,
    classes: ClassTable,
    *,
    threshold: float = 0.5,
    polygons: bool = True,
    min_area: float = 0.0,
    connectivity: int = 4,
    areas: str = 'auto',
    tags: Mapping[str, str] | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the rasters, the areas and the polygons of a scene.

    A file that is newer than the staged maps and than the settings it was made with is not made
    again.

    Args:
        out: The scene's folder.
        staged: For each of :data:`STAGED` a file of one band that rasterio opens: P(changed),
            float32, NaN where there are no data; land cover 1..K, uint8. And ``valid``, the codes
            of :mod:`tfinet_mm.scenes.validity`; without it, the reasons are unknown. The folder
            of the first also gets intermediate files.
        grid: The grid of the maps.
        classes: The K + 1 classes, the first that of unchanged pixels.
        threshold: Pixels with P(changed) at or above it are changed.
        polygons: Write ``changes.gpkg``; if False, an earlier one is removed.
        min_area: See :func:`tfinet_mm.scenes.vectorize.polygons.write_polygons`.
        connectivity: See there.
        areas: Method of the areas, see :class:`tfinet_mm.scenes.areas.PixelAreas`.
        tags: Metadata for all rasters.
        progress: Show a progress bar of files.

    Returns:
        Entries of ``scene.json``: ``class_names``, ``palette``, ``threshold``, ``pixels``
        (numbers of ``valid``, ``changed`` and ``not_seen``), ``area_method``, and ``polygons``: the
        :class:`~tfinet_mm.scenes.vectorize.polygons.PolygonSummary` or None.

    Raises:
        MissingExtraError: A part of the extra ``geo`` is not installed.
        SceneError: A map is not of the grid's size, or an option is out of range.
    """
    out, work = Path(out), Path(staged[STAGED[0]]).parent
    specs = scene_rasters(classes)
    pixel_areas = PixelAreas(grid, areas)
    settings = dict(
        classes=list(classes.names),
        palette=[list(colour) for colour in classes.palette],
        threshold=threshold,
        min_area=min_area,
        connectivity=connectivity,
        areas=pixel_areas.method,
        tags=dict(tags or {}),
    )
    made = {name: Path(path) for name, path in staged.items()}
    sources = [*made.values(), _settings_file(work, settings)]
    derived = [*DERIVED, *([] if VALID in staged else [VALID])]
    made |= {name: work / f'{name}.img' for name in derived}
    transition = made['transition']
    tasks: dict[Path, Callable[[], Any]] = {
        out / f'{name}.tif': partial(
            write_cog,
            made[name],
            out / f'{name}.tif',
            crs=grid.crs,
            transform=grid.transform,
            description=spec.description,
            nodata=spec.nodata,
            colours=spec.colours,
            class_names=spec.class_names,
            tags={**(tags or {}), **_own_tags(threshold)},
            resampling=spec.resampling,
        )
        for name, spec in specs.items()
    }
    unknown = int(specs['transition'].nodata)
    tasks[out / AREAS_FILE] = lambda: from_to_areas(
        transition, classes.land_cover, unknown, pixel_areas, valid=made[VALID]
    ).write(out)
    if polygons:
        tasks[out / POLYGONS_FILE] = partial(
            write_polygons,
            transition,
            made['change_prob'],
            out / POLYGONS_FILE,
            classes=classes.land_cover,
            nodata=unknown,
            pixel_areas=pixel_areas,
            min_area=min_area,
            connectivity=connectivity,
        )
    else:
        (out / POLYGONS_FILE).unlink(missing_ok=True)
    missing = [path for path in tasks if not _is_newer(path, sources)]
    if any(path.stem not in staged for path in missing):
        _derive(made, derived, grid, classes, threshold)
    for path in tqdm(missing, desc=out.name, unit='file', disable=not progress):
        tasks[path]()
    found = read_json(out / AREAS_FILE) or {}
    numbers = {key: found[key]['pixels'] for key in ('changed', 'unchanged', 'not_seen')}
    return dict(
        class_names=settings['classes'],
        palette=settings['palette'],
        threshold=threshold,
        pixels=dict(
            valid=numbers['changed'] + numbers['unchanged'],
            changed=numbers['changed'],
            not_seen=numbers['not_seen'],
        ),
        area_method=pixel_areas.method,
        polygons=asdict(read_summary(out / POLYGONS_FILE)) if polygons else None,
    )


def _own_tags(threshold: float) -> dict[str, str]:
    return {'TIFFTAG_SOFTWARE': f'tfinet_mm {__version__}', 'THRESHOLD': repr(float(threshold))}


def _settings_file(work: Path, settings: dict[str, Any]) -> Path:
    """Return a file with the settings, whose time stamp is that of their last change."""
    path = work / SETTINGS_FILE
    text = json_text(settings) + '\n'
    if not path.is_file() or path.read_text(encoding='utf-8') != text:
        with whole_file(path) as incomplete:
            incomplete.write_text(text, encoding='utf-8')
    return path


def _is_newer(path: Path, sources: Sequence[Path]) -> bool:
    """Return whether a file is there, and newer than its sources."""
    # On some file systems a file is empty after a full disk.
    if not path.is_file() or not path.stat().st_size:
        return False
    age = path.stat().st_mtime_ns
    return all(age >= source.stat().st_mtime_ns for source in sources)


def _derive(
    made: Mapping[str, Path],
    derived: Sequence[str],
    grid: SceneGrid,
    classes: ClassTable,
    threshold: float,
) -> None:
    """Make rasters of the staged maps, a block of rows at a time."""
    specs = scene_rasters(classes)
    with ExitStack() as stack:
        rasters = {name: stack.enter_context(open_raster(made[name])) for name in STAGED}
        for name, raster in rasters.items():
            check_same_size(made[name], raster, grid.height, grid.width)
        writers = {
            name: stack.enter_context(
                raw_writer(made[name], specs[name].dtype, grid.height, grid.width)
            )
            for name in derived
        }
        for top, rows in row_blocks(grid.height, grid.width):
            prob, old, new = (read_rows(raster, top, rows) for raster in rasters.values())
            change = (prob >= threshold).astype(np.uint8)
            change[np.isnan(prob)] = CHANGE_NODATA
            writers['change'](change)
            writers['transition'](transition_codes(change, old, new, specs['transition']))
            if VALID in writers:
                writers[VALID](np.where(np.isnan(prob), UNKNOWN, BOTH_SEEN).astype(np.uint8))
