"""Read the scenes of a report back from the folders of their results."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfinet_mm.errors import AssessmentError, ReportError
from tfinet_mm.io.rasters import read_rows, row_blocks
from tfinet_mm.report.facts import scene_facts
from tfinet_mm.report.place import scene_place
from tfinet_mm.report.records import (
    HECTARES,
    NODATA,
    PIXELS,
    SCENE,
    PairSummary,
    PairView,
    Polygon,
)
from tfinet_mm.report.statistics import BINS, count_probabilities
from tfinet_mm.scenes.assessment.estimate import read_estimate
from tfinet_mm.scenes.result_rasters import from_and_to
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.totals import sentences
from tfinet_mm.structures import ClassTable

SQUARE_METRES_A_HECTARE = 10_000
# Corners of all outlines of a scene, some 2 MB of the page; frayed polygons have many thousands.
MOST_CORNERS = 300_000


def open_results(folder: Path, table: ClassTable) -> SceneResults:
    """Return the results of a finished scene.

    Raises:
        ReportError: Their classes aren't those of the manifest.
        MissingExtraError: rasterio is not installed.
    """
    results = SceneResults(folder)
    if results.classes != table:
        raise ReportError(
            f'{folder} is of the classes {", ".join(results.classes.names)}, the manifest has '
            f'{", ".join(table.names)}; predict the scene again with --overwrite'
        )
    return results


def scene_summary(folder: Path, name: str, table: ClassTable) -> PairSummary:
    """Return areas and probabilities of a whole scene, read a block of rows at a time."""
    results = open_results(folder, table)
    areas = results.areas()
    width, height = results.grid.width, results.grid.height
    histogram = np.zeros(BINS, np.int64)
    with results.open('change_prob') as raster:
        for top, rows in row_blocks(height, width):
            histogram += count_probabilities(read_rows(raster, top, rows))
    summary = PairSummary(
        name,
        SCENE,
        (width, height),
        areas.matrix,
        areas.unchanged,
        areas.not_seen,
        histogram=histogram,
        unit=HECTARES if areas.unit == 'ha' else PIXELS,
        assessment=_assessment(folder),
        classes=() if areas.unchanged_classes is None else areas.by_class(),
        sentences=sentences(areas),
        registration=_registration(results.scene.get('registration')),
        not_seen=f'Not seen: {areas.describe_not_seen()}' if areas.not_seen_pixels else '',
    )
    return replace(summary, facts=scene_facts(results.scene, results.grid, summary))


def _assessment(folder: Path) -> dict[str, Any] | None:
    """Return the assessment of a scene; warn of one that is of other maps, and leave it out."""
    try:
        return read_estimate(folder)
    except AssessmentError as error:
        warnings.warn(f'left out of the report: {error}', stacklevel=2)
        return None


def _registration(measured: Mapping[str, Any] | None) -> str:
    """Return what ``scene.json`` says about the registration as text."""
    if not measured:
        return ''
    said = f'Registration: {measured["found"]["text"]}.'
    aligned = measured.get('aligned')
    return f'{said} Aligned: {aligned["text"]}.' if aligned else said


def scene_view(folder: Path, table: ClassTable, max_side: int, max_polygons: int) -> PairView:
    """Read quick looks, reduced maps and the largest polygons of a scene."""
    results = open_results(folder, table)
    # One code for both dates, so that they come from the same pixel of full size.
    codes = results.read('transition', side=max_side)
    unknown = codes == results.rasters['transition'].nodata
    changed = ~unknown & (codes > 0)
    labels = [
        np.select([unknown, changed], [NODATA, one]).astype(np.uint8)
        for one in from_and_to(codes, table.num_classes)
    ]
    summary = results.polygon_summary()
    width, height = results.grid.width, results.grid.height
    polygons, corners = [], 0
    for one in results.largest(max_polygons):
        left, top, right, bottom = one.bounds
        size = sum(len(ring) for part in one.outline for ring in part)
        kept = corners + size <= MOST_CORNERS
        corners += size if kept else 0
        polygons.append(
            Polygon(
                one.from_class,
                one.to_class,
                one.area / SQUARE_METRES_A_HECTARE if one.unit == 'm2' else one.area,
                one.mean_prob,
                (left / width, top / height, right / width, bottom / height),
                one.outline if kept else (),
            )
        )
    return PairView(
        _quicklook(folder / 'before.jpg'),
        _quicklook(folder / 'after.jpg'),
        labels[0],
        labels[1],
        results.read('change_prob', side=max_side),
        polygons=polygons,
        polygon_count=0 if summary is None else summary.polygons,
        place=scene_place(results.grid),
    )


def _quicklook(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB'))
