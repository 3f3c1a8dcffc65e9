"""Cut chips around points out of both dates of a predicted scene."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tfinet_mm.errors import AssessmentError, SceneError
from tfinet_mm.scenes.assessment.files import chip_file
from tfinet_mm.scenes.grid import pixel_offset
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.stretch import Stretch
from tfinet_mm.utils.places import is_virtual

QUALITY = 92
DATES = 'before', 'after'


def open_images(
    results: SceneResults, before: str | Path | None = None, after: str | Path | None = None
) -> ScenePair:
    """Open the images that a scene was predicted from, on its grid and with its stretch.

    Args:
        results: The scene.
        before: File of the first date, where it isn't the recorded one any more.
        after: The same of the second.

    Raises:
        AssessmentError: The scene doesn't record its images, or they lie on other pixels.
        FileNotFoundError: An image isn't where it was.
        RemoteFileError: A server doesn't answer, or has no such file.
        SceneError: An image can't be read.
    """
    settings = results.scene.get('settings') or {}
    paths = []
    for date, given in zip(DATES, (before, after), strict=True):
        path = given or (settings.get(date) or {}).get('file')
        if path is None:
            raise AssessmentError(
                f'{results.folder} does not record its image {date}; give it with --{date} FILE, '
                'or leave chips out (--no-chips)'
            )
        # One in a zip file or at an address is looked for when it is opened.
        if not is_virtual(path) and not os.path.exists(path):
            raise FileNotFoundError(
                f'the image {date} of {results.folder} is not at {path} any more; say where it is '
                f'with --{date} FILE, or leave chips out (--no-chips)'
            )
        paths.append(path)
    options = _reading(settings)
    place = results.grid.transform
    for grid in ('before', 'after', abs(place.a)):
        try:
            pair = ScenePair(*paths, grid=grid, **options)
        except SceneError:
            if grid == 'before':
                raise
            continue
        same = (pair.grid.width, pair.grid.height) == (results.grid.width, results.grid.height)
        if same and pixel_offset(results.grid, pair.grid) == (0, 0):
            return pair
        pair.close()
    raise AssessmentError(
        f'{paths[0]} and {paths[1]} do not cover {results.grid.describe()} in '
        f'{results.grid.width} x {results.grid.height} pixels, as {results.folder} does; give the '
        'images that it was predicted from (--before, --after), or leave chips out (--no-chips)'
    )


def _reading(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which the scene read its images."""
    said = settings.get('reading') or {}
    dates = {date: settings[date] for date in DATES if settings.get(date)}
    options: dict[str, Any] = {key: said[key] for key in ('before_crs', 'after_crs') if key in said}
    if said.get('same_grid') == 'True':
        options['same_grid'] = True
    if 'nodata' in said:
        # A number as text, or a dictionary by date.
        text = said['nodata'].replace("'", '"').replace('nan', 'NaN').replace('inf', 'Infinity')
        options['nodata'] = json.loads(text)
    if len(dates) == len(DATES):
        options['bands'] = {date: one['bands'] for date, one in dates.items()}
        options['stretch'] = {
            date: Stretch(
                **{  # type: ignore[arg-type]
                    key: tuple(value) if isinstance(value, list) else value
                    for key, value in one['stretch'].items()
                }
            )
            for date, one in dates.items()
        }
        options['resampling'] = next(
            (one['resampling'] for one in dates.values() if one.get('resampling')), 'bilinear'
        )
    return options


def write_chips(
    pair: ScenePair, folder: Path, points: Mapping[int, tuple[int, int]], side: int
) -> None:
    """Write a JPEG file of each date for each point, which is its middle pixel.

    Args:
        pair: The images.
        folder: Folder of the sample.
        points: Row and column of each point by its number.
        side: Side in pixels, odd; black beyond the edge of the scene.
    """
    # From top to bottom, so that GDAL reads its blocks once.
    for number, place in sorted(points.items(), key=lambda one: one[1]):
        for date, chip in zip(DATES, _chips(pair, *place, side), strict=True):
            options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
            encoded = cv2.imencode('.jpg', chip[..., ::-1], options)[1]
            path = folder / chip_file(number, date)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded.tobytes())


def _chips(pair: ScenePair, row: int, column: int, side: int) -> Iterator[np.ndarray]:
    """Yield the RGB chip (side, side, 3) of each date."""
    half = side // 2
    left, top = max(column - half, 0), max(row - half, 0)
    right = min(column + half + 1, pair.grid.width)
    bottom = min(row + half + 1, pair.grid.height)
    values, _ = pair.read((left, top, right - left, bottom - top))
    for date in np.split(values, 2):
        shown = date[:3] if len(date) >= 3 else np.repeat(date[:1], 3, axis=0)
        chip = np.zeros((side, side, 3), np.uint8)
        place = np.s_[
            top - row + half : bottom - row + half, left - column + half : right - column + half
        ]
        chip[place] = np.round(shown).astype(np.uint8).transpose(1, 2, 0)
        yield np.ascontiguousarray(chip)
