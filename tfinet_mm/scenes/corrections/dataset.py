"""Write the windows of a scene that were corrected as a data set for training."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike, Window
from tfinet_mm.io.png import write_palette_png, write_png
from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.corrections.polygons import (
    UNCHANGED,
    ChangePolygons,
    read_places,
    read_polygons,
)
from tfinet_mm.scenes.from_to import SQUARE_METRES_A_HECTARE
from tfinet_mm.scenes.result_rasters import from_and_to
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.source_images import open_images
from tfinet_mm.scenes.write_results import POLYGONS_FILE
from tfinet_mm.structures import IGNORE_INDEX
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text

FOLDERS = ('im1', 'im2', 'label1', 'label2', 'change')
RECORD_FILE = 'labels.json'
KINDS = ('deleted', 'added', 'class changed', 'confirmed')
RESTS = ('ignore', 'prediction')
SURE = 0.75
"""P(changed) from which a predicted change is a label; the others are up to 1 - SURE."""
RGB = 3


@dataclass
class LabelSummary:
    """Content of a data set that was made of corrections.

    Attributes:
        windows: Number of windows, with the others.
        others: Number of windows without a correction.
        areas: Labelled area of each of :data:`KINDS`, in hectares, or in pixels without a CRS.
        unit: 'ha' or 'pixels'.
    """

    windows: int
    others: int
    areas: dict[str, float]
    unit: str


def write_labels(
    scene: str | Path,
    corrections: PathLike,
    out: str | Path,
    *,
    reviewed: PathLike | None = None,
    rest: str = 'ignore',
    others: int | None = None,
    size: int = 512,
    before: PathLike | None = None,
    after: PathLike | None = None,
) -> LabelSummary:
    """Write windows of a scene with labels from corrected polygons.

    A pixel is labelled where the corrected polygons differ from those of the scene: in deleted
    polygons (unchanged), in added ones, and where a class was changed. In reviewed places every
    pixel is labelled, but for small changes that have no polygon. Elsewhere a pixel is ignored
    (255), or keeps the prediction.

    Args:
        scene: Folder of a predicted scene with polygons.
        corrections: Its ``changes.gpkg`` after corrections, see
            :func:`~tfinet_mm.scenes.corrections.polygons.read_polygons`.
        out: Folder of the data set, which must not hold one: ``im1``, ``im2``, ``label1``,
            ``label2`` (0 unchanged, 1..K, 255 ignored) and ``change`` (0, 1, 255), with a file for
            each window that has a correction or a reviewed place, and for the others.
        reviewed: File with polygons of places in which every polygon was looked at.
        rest: ``'prediction'`` labels the rest of those windows as predicted, where P(changed) is
            0.75 or more, or 0.25 or less; ``'ignore'`` leaves it without labels.
        others: Number of further windows, drawn at random from those without a correction and
            labelled like the rest; by default as many as have one. A scene that has fewer gives
            those that it has.
        size: Side of a window in pixels.
        before: File of the first date, if it was moved.
        after: File of the second.

    Raises:
        FileNotFoundError: A file isn't there.
        SceneError: The scene has no polygons, nothing was corrected, no corrected polygon lies in
            it, or an option is out of range.
    """
    out = Path(out)
    if rest not in RESTS:
        raise SceneError(f'expected rest (--rest) as one of {", ".join(RESTS)}, got {rest!r}')
    if size < 1:
        raise SceneError(f'a window (--size) has a side of at least 1 pixel, got {size}')
    if others is not None and others < 0:
        raise SceneError(
            f'expected a number of other windows (--others) of 0 or more, got {others}'
        )
    if any((out / name).exists() for name in (*FOLDERS, RECORD_FILE)):
        raise SceneError(f'{out} holds a data set; choose another folder (--out), or remove it')
    results = SceneResults(scene)
    if not (results.folder / POLYGONS_FILE).is_file():
        raise SceneError(
            f'{results.folder} has no {POLYGONS_FILE} to compare the corrections with; predict it '
            'with polygons'
        )
    made, corrected = (
        read_polygons(path, results.grid, results.classes)
        for path in (results.folder / POLYGONS_FILE, corrections)
    )
    _check_places(corrections, made, corrected)
    places = None if reviewed is None else read_places(reviewed, results.grid)
    areas = PixelAreas(results.grid)
    totals = dict.fromkeys(KINDS, 0.0)
    names: list[str] = []
    untouched = []
    with open_images(results, before, after) as pair:
        for window, seen in _windows(results, size):
            codes, kinds = _labels(results, window, made, corrected, places, rest)
            for part in seen:
                codes[part], kinds[part] = -1, 0
            if not kinds.any():
                untouched.append((window, seen))
                continue
            values, valid = pair.read(window)
            codes[~valid], kinds[~valid] = -1, 0
            if not kinds.any():
                continue
            area = np.broadcast_to(areas.rows(window.top, window.height), (window.height, 1))
            if areas.constant is None:
                area = areas.rows(window.top, window.height)
                area = np.broadcast_to(area, (window.height, results.grid.width))
                area = area[:, window.left : window.left + window.width]
            for number, kind in enumerate(KINDS, start=1):
                totals[kind] += float((area * (kinds == number)).sum())
            names.append(f'x{window.left}_y{window.top}')
            _write_window(out, names[-1], values, codes, results)
        corrections_in = len(names)
        if others is None:
            others = corrections_in
        # The same windows in every run.
        for index in np.random.default_rng(0).permutation(len(untouched)):
            if not names or len(names) == corrections_in + others:
                break
            window, seen = untouched[index]
            codes, _ = _labels(results, window, made, corrected, places, rest)
            for part in seen:
                codes[part] = -1
            values, valid = pair.read(window)
            codes[~valid] = -1
            if valid.any():
                names.append(f'x{window.left}_y{window.top}')
                _write_window(out, names[-1], values, codes, results)
    if not names:
        raise SceneError(
            f'{corrections} has the same polygons as {results.folder / POLYGONS_FILE}, and no '
            'place is stated as reviewed (--reviewed); expected at least one correction'
        )
    unit = 'pixels' if areas.method == 'pixels' else 'ha'
    if unit == 'ha':
        totals = {kind: area / SQUARE_METRES_A_HECTARE for kind, area in totals.items()}
    summary = LabelSummary(len(names), len(names) - corrections_in, totals, unit)
    record = dict(
        class_names=list(results.classes.names),
        palette=[list(colour) for colour in results.classes.palette],
        scene=str(results.folder),
        corrections=str(corrections),
        rest=rest,
        windows=names,
        others=names[corrections_in:],
        unit=unit,
        areas=totals,
    )
    with whole_file(out / RECORD_FILE) as partial:
        partial.write_text(json_text(record) + '\n', encoding='utf-8')
    return summary


def _check_places(path: PathLike, made: ChangePolygons, corrected: ChangePolygons) -> None:
    """Refuse corrections of another place, which would delete all changes; warn of a part."""
    outside, deleted = corrected.outside(), len(made) and not len(corrected)
    if outside and outside == len(corrected):
        raise SceneError(
            f'none of the {outside} polygons of {path} lies in the scene, and all its changes '
            'would count as deleted; state the CRS of their coordinates in QGIS (Layer > Set '
            'CRS), or give the corrections of this scene'
        )
    if outside or deleted:
        found = (
            f'{outside} of {len(corrected)} polygons of {path} lie outside of the scene and are '
            'left out'
            if outside
            else f'{path} has no polygon: all {len(made)} of the scene count as deleted'
        )
        warnings.warn(f'{found}; check that these are the corrections of it', stacklevel=3)


def _windows(results: SceneResults, size: int) -> Iterator[tuple[Window, tuple[Any, Any]]]:
    """Yield windows side by side, and the rows and the columns that an earlier one has.

    The last window of a row or column is moved back inside the scene.
    """
    width, height = results.grid.width, results.grid.height
    wide, high = min(size, width), min(size, height)
    for row in range(0, height, high):
        for column in range(0, width, wide):
            top, left = min(row, height - high), min(column, width - wide)
            yield Window(left, top, wide, high), (np.s_[: row - top, :], np.s_[:, : column - left])


def _labels(
    results: SceneResults,
    window: Window,
    made: ChangePolygons,
    corrected: ChangePolygons,
    places: ChangePolygons | None,
    rest: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return codes of a window (h, w), -1 where ignored, and the number of each pixel's kind."""
    old, new = made.burn(window), corrected.burn(window)
    kinds = np.zeros(old.shape, np.uint8)
    kinds[(old != UNCHANGED) & (new == UNCHANGED)] = 1
    kinds[(old == UNCHANGED) & (new != UNCHANGED)] = 2
    kinds[(old != UNCHANGED) & (new != UNCHANGED) & (old != new)] = 3
    nodata = int(results.rasters['transition'].nodata)
    predicted = results.read('transition', window).astype(np.int32)
    predicted[predicted == nodata] = -1
    if places is not None:
        # Changes that are smaller than the least polygon were never shown.
        shown = (new != UNCHANGED) | (old != UNCHANGED) | (predicted == UNCHANGED)
        kinds[places.cover(window) & (kinds == 0) & shown] = 4
    if rest == 'prediction':
        # Where the network doubts, it may learn from the corrections.
        prob = results.read('change_prob', window)
        others = np.where(np.abs(prob - 0.5) >= SURE - 0.5, predicted, -1)
    else:
        others = np.full(new.shape, -1)
    codes = np.where(kinds > 0, new, others)
    return codes.astype(np.int32), kinds


def _write_window(
    out: Path, name: str, values: np.ndarray, codes: np.ndarray, results: SceneResults
) -> None:
    bands = len(values) // 2
    for folder, part in zip(FOLDERS, (values[:bands], values[bands:]), strict=False):
        image = np.round(part).astype(np.uint8)
        if bands == RGB:
            write_png(out / folder / f'{name}.png', image.transpose(1, 2, 0))
        else:
            _write_bands(out / folder / f'{name}.tif', image)
    change = np.where(codes < 0, IGNORE_INDEX, codes > 0).astype(np.uint8)
    covers = from_and_to(np.maximum(codes, 1), results.classes.num_classes)
    for folder, cover in zip(FOLDERS[2:4], covers, strict=True):
        label = np.where(change == 1, cover, change).astype(np.uint8)
        write_palette_png(out / folder / f'{name}.png', label, results.classes.palette)
    write_png(out / FOLDERS[4] / f'{name}.png', change)


def _write_bands(path: Path, image: np.ndarray) -> None:
    """Write (B, h, w) as a GeoTIFF without a place."""
    rasterio = import_geo('rasterio', 'Writing images')
    bands, height, width = image.shape
    with (
        whole_file(path) as partial,
        rasterio.open(
            partial, 'w', driver='GTiff', count=bands, height=height, width=width, dtype='uint8'
        ) as file,
    ):
        file.write(image)
