"""Draw the points of an assessment, and write everything that is needed to label them."""

from __future__ import annotations

import math
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import AssessmentError
from tfinet_mm.evaluation.assessment import ALLOCATIONS, LEAST_POINTS, allocate, sample_size
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.assessment.chips import write_chips
from tfinet_mm.scenes.assessment.drawing import Drawn, draw_pixels
from tfinet_mm.scenes.assessment.files import write_form, write_points, write_style, write_table
from tfinet_mm.scenes.assessment.labels import any_label
from tfinet_mm.scenes.assessment.strata import (
    NOT_SEEN,
    CellCounts,
    Strata,
    choose_strata,
    count_cells,
    write_raw_strata,
)
from tfinet_mm.scenes.cog import write_cog
from tfinet_mm.scenes.from_to import SQUARE_METRES_A_HECTARE
from tfinet_mm.scenes.grid import apply_affine
from tfinet_mm.scenes.result_rasters import from_and_to
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.source_images import open_images
from tfinet_mm.utils.fingerprints import fingerprints
from tfinet_mm.utils.manifest import RunManifest, plain
from tfinet_mm.version import __version__

FOLDER = 'assessment'
"""Folder of the sample in that of its scene."""
SAMPLE_FILE = 'sample.json'
POINTS_FILE, KEY_FILE, STRATA_FILE = 'points.gpkg', 'key.csv', 'strata.tif'
NO_CHIPS = ', or leave chips out (--no-chips)'
MAPS = 'transition.tif', 'land_cover_from.tif'
"""Maps of the scene that the strata are made of."""
FEWEST_CHIP_PIXELS = 9
MADE_LATER = (*('label.html', 'estimate.json', 'estimate.csv', 'estimate.md', 'error_matrix.csv'),)
"""Files of an earlier sample that another one makes invalid."""
KEYS = (
    *('settings', 'scene', 'classes', 'palette', 'strata', 'mapped', 'unit', 'area_method'),
    *('points', 'chip', 'pixel_size', 'files', 'software'),
)
"""Keys of ``sample.json``."""


@dataclass(frozen=True)
class Design:
    """Options of a sample.

    Attributes:
        error: Standard error of overall accuracy to aim at.
        points: Number of points, in place of the one that ``error`` gives.
        allocation: One of :data:`tfinet_mm.evaluation.assessment.ALLOCATIONS`.
        minimum: Least number of points of a stratum.
        min_share: Share of the area below which strata are merged.
        unchanged_accuracy: User's accuracy expected of unchanged strata.
        changed_accuracy: The same of changed ones.
        seed: Seed of the draw.
        chip: Side of a chip in pixels, odd; 0 for none.
    """

    error: float = 0.015
    points: int | None = None
    allocation: str = 'proportional'
    minimum: int = 50
    min_share: float = 0.01
    unchanged_accuracy: float = 0.9
    changed_accuracy: float = 0.7
    seed: int = 0
    chip: int = 97

    def __post_init__(self) -> None:
        if self.allocation not in ALLOCATIONS:
            raise AssessmentError(
                f'expected points by {", ".join(ALLOCATIONS)}, got {self.allocation!r}'
            )
        if self.minimum < LEAST_POINTS:
            raise AssessmentError(
                f'a stratum needs {LEAST_POINTS} points or more, got a minimum of {self.minimum}'
            )
        if self.chip and (self.chip < FEWEST_CHIP_PIXELS or self.chip % 2 == 0):
            raise AssessmentError(
                f'expected chips with an odd side of {FEWEST_CHIP_PIXELS} pixels or more, so that '
                f'the point is in the middle, got {self.chip}'
            )


def sample_scene(
    scene: str | Path,
    out: str | Path | None = None,
    design: Design | None = None,
    *,
    before: str | Path | None = None,
    after: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Draw a stratified random sample of the pixels of a predicted scene, to be labelled.

    Args:
        scene: Folder of the scene.
        out: Folder to write to; ``assessment`` in that of the scene by default.
        design: Options of the sample.
        before: Image of the first date, where it isn't the one that the scene records.
        after: The same of the second.
        overwrite: Replace another sample, unless it has labels.

    Returns:
        ``out``, with ``points.gpkg`` to fill in, ``key.csv`` (the strata of the points),
        ``strata.tif``, ``strata.csv``, ``chips`` and, written last, ``sample.json``. Nothing is
        done where it holds this sample already.

    Raises:
        SceneError: The scene isn't finished.
        AssessmentError: An option is out of range, a stratum is too small, or labels would be
            lost.
        ManifestError: ``out`` holds a sample of another design or other maps.
        FileNotFoundError: An image isn't where it was.
        MissingExtraError: A part of the extra ``geo`` is not installed.
    """
    design = design or Design()
    results = SceneResults(scene)
    out = results.folder / FOLDER if out is None else Path(out)
    with RunManifest(out, SAMPLE_FILE, 'points') as run:
        run.recall()
        maps = dict(zip(MAPS, fingerprints(results.folder / name for name in MAPS), strict=True))
        settings = plain(dict(design=asdict(design), maps=maps))
        found = run.read(['settings']) if run.path.is_file() else None
        if found is not None and not overwrite:
            run.check(found['settings'], settings)
            if all((out / name).is_file() for name in (POINTS_FILE, KEY_FILE, STRATA_FILE)):
                return out
        run.lock()
        if any_label(out / POINTS_FILE):
            raise AssessmentError(
                f'{out / POINTS_FILE} has labels, which a new sample would replace; move the file '
                'away, or choose another folder (--out)'
            )
        run.path.unlink(missing_ok=True)
        for name in MADE_LATER:
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / 'chips', ignore_errors=True)
        run.write(dict(settings=settings, **_make(results, out, design, before, after)))
    return out


def _make(
    results: SceneResults,
    out: Path,
    design: Design,
    before: str | Path | None,
    after: str | Path | None,
) -> dict[str, Any]:
    """Write the files, and return what ``sample.json`` has of them."""
    grid = results.grid
    pixel_areas = PixelAreas(grid)
    counts = count_cells(results, pixel_areas)
    strata = choose_strata(results.classes, counts.areas, design.min_share)
    pixels, areas = _sizes(strata, counts)
    expected = [
        design.changed_accuracy if one.changed else design.unchanged_accuracy
        for one in strata.items[: strata.mapped]
    ]
    number = design.points or sample_size(areas, expected, design.error)
    wanted = allocate(
        number,
        areas,
        design.allocation,
        minimum=design.minimum,
        available=pixels,
        accuracies=expected,
    )
    _check(strata, wanted, pixels)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        raw = Path(folder) / 'strata.img'
        write_raw_strata(results, strata, raw)
        unit = (
            counts.largest if counts.unit == 'pixels' else counts.largest / SQUARE_METRES_A_HECTARE
        )
        drawn = draw_pixels(
            raw, wanted, pixels, pixel_areas, counts.largest, areas / (pixels * unit), design.seed
        )
        write_cog(
            raw,
            out / STRATA_FILE,
            crs=grid.crs,
            transform=grid.transform,
            description='stratum',
            nodata=NOT_SEEN,
            colours=[(0, 0, 0), *(one.colour for one in strata.items)],
            class_names=['no data', *strata.names],
            tags={'TIFFTAG_SOFTWARE': f'tfinet_mm {__version__}'},
        )
    write_style(out / Path(STRATA_FILE).with_suffix('.qml'), strata)
    x, y = apply_affine(grid.transform, drawn.columns + 0.5, drawn.rows + 0.5)
    numbers = list(range(1, len(drawn.codes) + 1))
    if design.chip:
        with open_images(results, before, after, NO_CHIPS) as pair:
            places = zip(drawn.rows.tolist(), drawn.columns.tolist(), strict=True)
            write_chips(pair, out, dict(zip(numbers, places, strict=True)), design.chip)
    write_points(out / POINTS_FILE, numbers, x, y, grid.crs, bool(design.chip))
    write_form(out / Path(POINTS_FILE).with_suffix('.qml'), results.classes.land_cover)
    write_table(out / KEY_FILE, _key(results, strata, drawn, x, y))
    rows = [
        dict(
            one,
            pixels=int(pixels[index]),
            area=float(areas[index]),
            points=int(wanted[index]),
            expected_accuracy=expected[index],
        )
        if index < strata.mapped
        else dict(one, pixels=0, area=0.0, points=0, expected_accuracy=None)
        for index, one in enumerate(strata.as_json())
    ]
    share = areas.sum() or 1
    table = [
        dict(
            code=one['code'],
            stratum=one['name'],
            pixels=one['pixels'],
            **{'area' if counts.unit == 'pixels' else 'hectares': one['area']},
            share=one['area'] / share,
            points=one['points'],
        )
        for one in rows
    ]
    write_table(out / Path(STRATA_FILE).with_suffix('.csv'), table)
    files = fingerprints([out / STRATA_FILE, out / KEY_FILE])
    return dict(
        scene=str(results.folder.resolve()),
        classes=list(results.classes.land_cover),
        palette=[list(colour) for colour in results.classes.palette[1:]],
        strata=rows,
        mapped=strata.mapped,
        unit=counts.unit,
        area_method=pixel_areas.method,
        points=len(numbers),
        chip=design.chip,
        pixel_size=math.sqrt(
            abs(grid.transform.a * grid.transform.e - grid.transform.b * grid.transform.d)
        ),
        files={Path(one['file']).name: one for one in files},
        software=f'tfinet_mm {__version__}',
    )


def _sizes(strata: Strata, counts: CellCounts) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels and areas of the strata, those that the map has."""
    table = strata.table()[:-1]
    pixels, areas = (
        np.bincount(table, one[:-1], minlength=strata.mapped + 1)[1 : strata.mapped + 1]
        for one in (counts.pixels, counts.areas)
    )
    return pixels.astype(np.int64), areas


def _check(strata: Strata, wanted: np.ndarray, pixels: np.ndarray) -> None:
    small = [
        f'{one.name} ({number} of {available} pixels)'
        for one, number, available in zip(strata.items, wanted, pixels, strict=False)
        if number < LEAST_POINTS
    ]
    if small:
        raise AssessmentError(
            f'a stratum needs {LEAST_POINTS} points or more, got fewer in: {", ".join(small)}; '
            'merge rare strata with a larger --min-share'
        )


def _key(
    results: SceneResults, strata: Strata, drawn: Drawn, x: np.ndarray, y: np.ndarray
) -> list[dict[str, Any]]:
    """Return the rows of the key: for each point its stratum, its classes and its place."""
    classes = results.classes.names
    with results.open('transition') as codes, results.open('land_cover_from') as covers:
        found = np.zeros((len(drawn.codes), 2), np.int64)
        for index in np.lexsort((drawn.columns, drawn.rows)):
            place = int(drawn.rows[index]), int(drawn.columns[index])
            window = tuple((one, one + 1) for one in place)
            code = int(codes.read(1, window=window)[0, 0])
            if code:
                found[index] = from_and_to(np.array(code), len(classes) - 1)
            else:
                found[index] = covers.read(1, window=window)[0, 0]
    return [
        dict(
            id=number,
            stratum=int(code),
            name=strata.names[code - 1],
            map_from=classes[old],
            map_to=classes[new],
            row=int(row),
            column=int(column),
            x=repr(float(east)),
            y=repr(float(north)),
        )
        for number, (code, (old, new), row, column, east, north) in enumerate(
            zip(drawn.codes, found, drawn.rows, drawn.columns, x, y, strict=True), start=1
        )
    ]


def read_sample(folder: str | Path) -> dict[str, Any]:
    """Return the content of ``sample.json``, after a look whether its files are the same.

    Raises:
        AssessmentError: There is no sample, or its strata, its key or the maps of its scene
            changed since it was drawn.
        ManifestError: ``sample.json`` is damaged.
    """
    folder = Path(folder)
    if (folder / FOLDER / SAMPLE_FILE).is_file():
        folder /= FOLDER
    with RunManifest(folder, SAMPLE_FILE, 'points') as run:
        found = run.read(KEYS, 'draw the sample again')
        if found is None:
            raise AssessmentError(
                f'{folder} holds no sample, there is no {SAMPLE_FILE}; draw one first: '
                'tfinet assess sample SCENE'
            )
        files = dict(found['files'])
        for name, entry in found['files'].items():
            files[name] = dict(entry, file=str(folder / name))
        scene = _scene_folder(folder, found)
        if scene is not None:
            for name, entry in found['settings']['maps'].items():
                files[str(scene / name)] = dict(entry, file=str(scene / name))
        for entry in files.values():
            try:
                (now,) = fingerprints([entry['file']])
            except FileNotFoundError:
                now = dict(sha256='missing')
            if now['sha256'] != entry['sha256']:
                raise AssessmentError(
                    f'{entry["file"]} is not the file any more that the sample was drawn from, so '
                    'that its points stand for other areas; draw another sample (--out), or put '
                    'the file back'
                )
    return dict(found, folder=folder, scene_folder=scene)


def _scene_folder(folder: Path, found: dict[str, Any]) -> Path | None:
    """Return the folder of the scene: that around the sample, or else where it was."""
    for place in (folder.resolve().parent, Path(found['scene'])):
        with suppress(OSError):
            if all((place / name).is_file() for name in MAPS):
                return place
    return None
