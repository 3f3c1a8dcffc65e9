"""Make the files of a scene from its staged maps: rasters, areas and polygons."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import (
    check_same_size,
    import_geo,
    open_raster,
    raw_writer,
    read_bands,
    row_blocks,
)
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.change_rules import ChangeRules, change_blocks, majority_class, read_around
from tfinet_mm.scenes.class_changes import merged_cover
from tfinet_mm.scenes.cog import write_cog
from tfinet_mm.scenes.from_to import from_to_areas
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.probabilities import BAND_NAMES, PER_DATE, PROBABILITIES
from tfinet_mm.scenes.result_rasters import (
    CHANGE_NODATA,
    ResultRaster,
    scene_rasters,
    transition_codes,
)
from tfinet_mm.scenes.styles import polygon_style, write_raster_style
from tfinet_mm.scenes.totals import write_totals
from tfinet_mm.scenes.validity import BOTH_SEEN, UNKNOWN
from tfinet_mm.scenes.vectorize.polygons import read_summary, write_polygons
from tfinet_mm.structures import ClassTable
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.utils.manifest import read_json
from tfinet_mm.utils.prefetch import beside
from tfinet_mm.version import __version__

COVERS = 'land_cover_from', 'land_cover_to'
STAGED = 'change_prob', *COVERS
"""Maps from which the other rasters are made."""
VALID = 'valid'
DERIVED = 'change', 'transition'
PROBABILITIES_FILE = f'{PROBABILITIES}.tif'
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
    hysteresis: tuple[float, float] | None = None,
    smooth: int = 1,
    merged: np.ndarray | None = None,
    polygons: bool = True,
    min_area: float = 0.0,
    connectivity: int = 4,
    areas: str = 'auto',
    tags: Mapping[str, str] | None = None,
    work: str | Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the rasters, the areas and the polygons of a scene.

    A file that is newer than the staged maps and than the settings it was made with is not made
    again.

    Args:
        out: The scene's folder.
        staged: For each of :data:`STAGED` a file of one band that rasterio opens: P(changed),
            float32, NaN where there are no data; land cover 1..K, uint8. And ``valid``, the codes
            of :mod:`tfinet_mm.scenes.validity`; without it, the reasons are unknown. And
            ``probabilities`` (:mod:`tfinet_mm.scenes.probabilities`), which may be missing; they
            are written unless classes are merged.
        grid: The grid of the maps.
        classes: The K + 1 classes, the first that of unchanged pixels.
        threshold: Pixels with P(changed) at or above it are changed.
        hysteresis: See :class:`tfinet_mm.scenes.change_rules.ChangeRules`.
        smooth: Side of a square in pixels: change as in that class, and classes by
            :func:`tfinet_mm.scenes.change_rules.majority_class`.
        merged: New number of each class of the maps, where ``classes`` are merged ones, see
            :func:`tfinet_mm.scenes.class_changes.merge_classes`.
        polygons: Write ``changes.gpkg``; if False, an earlier one is removed.
        min_area: See :func:`tfinet_mm.scenes.vectorize.polygons.write_polygons`.
        connectivity: See there.
        areas: Method of the areas, see :class:`tfinet_mm.scenes.areas.PixelAreas`.
        tags: Metadata for all rasters and the layer of polygons.
        work: Folder for intermediate files; by default that of the first staged map.
        progress: Show a progress bar of files.

    Returns:
        Entries of ``scene.json``: ``class_names``, ``palette``, ``threshold`` (with hysteresis the
        upper one), ``pixels``
        (numbers of ``valid``, ``changed`` and ``not_seen``), ``area_method``, and ``polygons``: the
        :class:`~tfinet_mm.scenes.vectorize.polygons.PolygonSummary` or None.

    Raises:
        MissingExtraError: A part of the extra ``geo`` is not installed.
        SceneError: A map is not of the grid's size or lacks a class of a seen pixel, or an option
            is out of range.
    """
    out, work = Path(out), Path(staged[STAGED[0]]).parent if work is None else Path(work)
    rules = ChangeRules(threshold, hysteresis, smooth)
    specs = scene_rasters(classes)
    pixel_areas = PixelAreas(grid, areas)
    settings = dict(
        classes=list(classes.names),
        palette=[list(colour) for colour in classes.palette],
        **rules.settings(),
        merged=None if merged is None else merged.tolist(),
        min_area=min_area,
        connectivity=connectivity,
        areas=pixel_areas.method,
        tags=dict(tags or {}),
    )
    made = {name: Path(path) for name, path in staged.items()}
    sources = [*made.values(), _settings_file(work, settings)]
    covers = COVERS if smooth > 1 or merged is not None else ()
    derived = [*DERIVED, *([] if VALID in staged else [VALID]), *covers]
    made |= {name: work / f'derived_{name}.img' for name in derived}
    transition = made['transition']
    own_tags = {**(tags or {}), **_own_tags(rules)}
    rasters = _raster_tasks(out, made, specs, grid, own_tags)
    if PROBABILITIES in staged and merged is None:
        rasters[out / PROBABILITIES_FILE] = partial(
            write_cog,
            staged[PROBABILITIES],
            out / PROBABILITIES_FILE,
            crs=grid.crs,
            transform=grid.transform,
            description=BAND_NAMES,
            nodata=0,
            tags=own_tags,
        )
    else:
        (out / PROBABILITIES_FILE).unlink(missing_ok=True)
    areas_file, polygons_file = out / AREAS_FILE, out / POLYGONS_FILE
    if not polygons:
        polygons_file.unlink(missing_ok=True)
    paths = [*rasters, areas_file, *([polygons_file] if polygons else [])]
    missing = [path for path in paths if not _is_newer(path, sources)]
    if any(path.stem in derived or path.stem not in staged for path in missing):
        _derive(staged, made, derived, grid, classes, rules, merged)
    unknown = int(specs['transition'].nodata)
    with (
        tqdm(total=len(missing), desc=out.name, unit='file', disable=not progress) as bar,
        _ignoring_warnings(),
        # GDAL writes in a thread while NumPy works in this one.
        beside(*(rasters[path] for path in missing if path in rasters), done=bar.update) as check,
    ):
        if areas_file in missing:
            _write_areas(
                out,
                transition,
                made['land_cover_from'],
                classes,
                unknown,
                pixel_areas,
                made[VALID],
            )
            bar.update()
        if polygons_file in missing:
            write_polygons(
                transition,
                made['change_prob'],
                polygons_file,
                classes=classes.land_cover,
                nodata=unknown,
                pixel_areas=pixel_areas,
                min_area=min_area,
                connectivity=connectivity,
                progress=lambda rows: check(),
                metadata=tags,
                style=partial(polygon_style, classes),
            )
            bar.update()
    found = read_json(out / AREAS_FILE) or {}
    numbers = {key: found[key]['pixels'] for key in ('changed', 'unchanged', 'not_seen')}
    return dict(
        class_names=settings['classes'],
        palette=settings['palette'],
        threshold=rules.levels[1],
        pixels=dict(
            valid=numbers['changed'] + numbers['unchanged'],
            changed=numbers['changed'],
            not_seen=numbers['not_seen'],
        ),
        area_method=pixel_areas.method,
        polygons=asdict(read_summary(out / POLYGONS_FILE)) if polygons else None,
    )


def _raster_tasks(
    out: Path,
    made: Mapping[str, Path],
    specs: Mapping[str, ResultRaster],
    grid: SceneGrid,
    tags: Mapping[str, str],
) -> dict[Path, Callable[[], Any]]:
    """Return for each GeoTIFF of one band the function that writes it."""
    return {
        out / f'{name}.tif': partial(
            _write_raster, made[name], out / f'{name}.tif', spec, grid, tags
        )
        for name, spec in specs.items()
    }


@contextmanager
def _ignoring_warnings() -> Iterator[None]:
    """Ignore the warnings of maps and scenes without georeference.

    Of threads that change the filters of warnings at the same time, one may leave its own behind;
    those that were there before come back after the block.
    """
    errors = import_geo('rasterio.errors', 'Writing a scene')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', errors.NotGeoreferencedWarning)
        warnings.filterwarnings('ignore', message=".*'crs' was not provided")
        yield


def _write_raster(
    source: Path, target: Path, spec: ResultRaster, grid: SceneGrid, tags: Mapping[str, str]
) -> None:
    # Before the raster, whose presence means that both are complete.
    write_raster_style(spec, target)
    write_cog(
        source,
        target,
        crs=grid.crs,
        transform=grid.transform,
        description=spec.description,
        nodata=spec.nodata,
        colours=spec.colours,
        class_names=spec.class_names,
        tags=tags,
        resampling=spec.resampling,
    )


def _write_areas(
    out: Path,
    transition: Path,
    land_cover_from: Path,
    classes: ClassTable,
    nodata: int,
    pixel_areas: PixelAreas,
    valid: Path,
) -> None:
    found = from_to_areas(
        transition, land_cover_from, classes.land_cover, nodata, pixel_areas, valid=valid
    )
    # Before the file whose presence means that all of them are complete.
    write_totals(found, out)
    found.write(out)


def _own_tags(rules: ChangeRules) -> dict[str, str]:
    low, high = rules.levels
    tags = {'TIFFTAG_SOFTWARE': f'tfinet_mm {__version__}', 'THRESHOLD': repr(float(high))}
    tags |= {'LOWER_THRESHOLD': repr(float(low))} if rules.hysteresis else {}
    return tags | ({'SMOOTH': str(rules.smooth)} if rules.smooth > 1 else {})


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


def _check_covered(path: Path, cover: np.ndarray, change: np.ndarray, number: int) -> None:
    """Refuse seen pixels without a class, or with one that there isn't."""
    # 0 becomes 255.
    wrong = (cover - np.uint8(1) >= number) & (change != CHANGE_NODATA)
    if wrong.any():
        raise SceneError(
            f'{path} has no class from 1 to {number} at {np.count_nonzero(wrong)} pixels of a '
            'block of rows that change_prob.tif has seen; the two are of other scenes or were '
            'edited: copy their own files back, or predict the scene again'
        )


def _derive(
    staged: Mapping[str, Path],
    made: Mapping[str, Path],
    derived: Sequence[str],
    grid: SceneGrid,
    classes: ClassTable,
    rules: ChangeRules,
    merged: np.ndarray | None,
) -> None:
    """Make rasters of the staged maps, a block of rows at a time."""
    specs = scene_rasters(classes)
    blocks = list(row_blocks(grid.height, grid.width))
    with ExitStack() as stack:
        rasters = {name: stack.enter_context(open_raster(staged[name])) for name in STAGED}
        for name, raster in rasters.items():
            check_same_size(staged[name], raster, grid.height, grid.width)
        kept = None
        if merged is not None and PROBABILITIES in staged:
            path = staged[PROBABILITIES]
            kept = stack.enter_context(open_raster(path, len(BAND_NAMES)))
            check_same_size(path, kept, grid.height, grid.width)
        writers = {
            name: stack.enter_context(
                raw_writer(made[name], specs[name].dtype, grid.height, grid.width)
            )
            for name in derived
        }
        changes = change_blocks(rasters['change_prob'], rules, blocks)
        for (top, rows), change in zip(blocks, changes, strict=True):
            writers['change'](change)
            covers: dict[str, np.ndarray] = {}
            for number, name in enumerate(COVERS):
                first, cover = read_around(rasters[name], top, rows, rules.smooth // 2)
                if merged is not None:
                    bands = None
                    if kept is not None:
                        bands = read_bands(kept, first, len(cover))[number * PER_DATE :][:PER_DATE]
                    cover = merged_cover(cover, bands, merged)
                if rules.smooth > 1:
                    cover = majority_class(cover, rules.smooth, classes.num_classes)
                covers[name] = cover[top - first :][:rows]
                if name in writers:
                    writers[name](covers[name])
                _check_covered(staged[name], covers[name], change, classes.num_classes)
            old, new = covers.values()
            writers['transition'](transition_codes(change, old, new, specs['transition']))
            if VALID in writers:
                unseen = change == CHANGE_NODATA
                writers[VALID](np.where(unseen, UNKNOWN, BOTH_SEEN).astype(np.uint8))
