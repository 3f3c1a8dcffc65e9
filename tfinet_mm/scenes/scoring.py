"""Score a predicted scene against an annotation on the same pixels."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.evaluation.confusion import SCDConfusion
from tfinet_mm.io.rasters import open_raster, row_blocks
from tfinet_mm.scenes.grid import SceneGrid, pixel_offset
from tfinet_mm.scenes.result_rasters import CHANGE_NODATA
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.structures import IGNORE_INDEX

ANNOTATED = ('change', 'land_cover_from', 'land_cover_to')
"""The rasters of an annotation, named and coded as those of a predicted scene."""


def score_scene(scene: SceneResults, labels: str | Path) -> SCDConfusion:
    """Count the pixels of a scene by prediction and annotation.

    Pixels without data on either side are left out. Where the change is annotated but a class
    is 0 (unknown), only that class is left out.

    Args:
        scene: The predicted scene.
        labels: Folder with ``change.tif`` (1 changed, 0 unchanged, 255 left out),
            ``land_cover_from.tif`` and ``land_cover_to.tif`` (1..K, 0 unknown), on the pixels
            of the scene.

    Returns:
        The counts of the whole scene, read in blocks of rows.

    Raises:
        OSError: A file is missing or can't be read.
        SceneError: A file lies on other pixels than the scene.
        LabelValueError: A file holds a value that is no class of the scene.
    """
    number = scene.classes.num_classes
    counts = SCDConfusion.zeros(number)
    with ExitStack() as opened:
        truths = [
            opened.enter_context(open_raster(Path(labels, f'{name}.tif'))) for name in ANNOTATED
        ]
        for name, truth in zip(ANNOTATED, truths, strict=True):
            _check_place(Path(labels, f'{name}.tif'), truth, scene)
        predicted = [opened.enter_context(scene.open(name)) for name in ANNOTATED]
        for top, rows in row_blocks(scene.grid.height, scene.grid.width):
            window = ((top, top + rows), (0, scene.grid.width))
            change, *covers = (raster.read(1, window=window) for raster in truths)
            found, found_old, found_new = (raster.read(1, window=window) for raster in predicted)
            change = np.where(found == CHANGE_NODATA, IGNORE_INDEX, change)
            # From 1..K with 0 unknown to 0..K-1 with 255; wider first, so that no value wraps.
            old, new = (
                np.where(cover == 0, IGNORE_INDEX, cover.astype(np.int64) - 1) for cover in covers
            )
            found = (found == 1).astype(np.uint8)
            counts += SCDConfusion.from_maps(change, old, new, found, found_old, found_new, number)
    return counts


def _check_place(path: Path, raster: Any, scene: SceneResults) -> None:
    grid = scene.grid
    found = SceneGrid(raster.crs, raster.transform, raster.width, raster.height)
    same = (found.width, found.height) == (grid.width, grid.height)
    if not same or pixel_offset(grid, found) != (0, 0):
        raise SceneError(
            f'{path} has {found.width} x {found.height} pixels and covers {found.describe()}; the '
            f'scene {scene.folder} has {grid.width} x {grid.height} and covers {grid.describe()}. '
            "Warp the annotation onto the pixels of the scene's change.tif, with "
            'nearest-neighbour resampling'
        )
