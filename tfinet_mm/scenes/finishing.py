"""Make the results of a predicted scene again, by other rules and with other classes."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike
from tfinet_mm.io.rasters import open_raster
from tfinet_mm.scenes.change_rules import ChangeRules
from tfinet_mm.scenes.class_changes import merge_classes, rename_classes
from tfinet_mm.scenes.probabilities import BAND_NAMES, PROBABILITIES
from tfinet_mm.scenes.provenance import check_origin, provenance_tags
from tfinet_mm.scenes.registration_file import REGISTRATION_FILE
from tfinet_mm.scenes.results import (
    SCENE_FILE,
    SceneResults,
    is_finished,
    raster_hashes,
    result_files,
    warn_of_leftovers,
)
from tfinet_mm.scenes.staging import STAGED, scene_manifest
from tfinet_mm.scenes.write_results import PROBABILITIES_FILE, write_results
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.fingerprints import fingerprints
from tfinet_mm.utils.manifest import RunManifest, plain
from tfinet_mm.version import __version__

FINISHED_FROM = 'finished_from'
"""Entry of ``scene.json``: the folder whose maps the results were made of."""
WORK_FOLDER = '.finishing'
COPIED = 'before.jpg', 'after.jpg', REGISTRATION_FILE


def finish_scene(
    scene: PathLike,
    out: PathLike,
    *,
    threshold: float | None = None,
    hysteresis: tuple[float, float] | None = None,
    smooth: int = 1,
    merges: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    palette: Mapping[str, Sequence[int]] | None = None,
    polygons: bool = True,
    min_area: float | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Write the results of a predicted scene with other settings, without predicting again.

    The files are those of a prediction but for ``probabilities.tif``, and equal those of a
    prediction with the same threshold and minimum area. They are made in blocks of rows. The
    predicted scene stays as it is.

    Args:
        scene: Folder of a predicted scene.
        out: Folder for the results.
        threshold: Pixels with P(changed) at or above it are changed; by default the scene's own.
        hysteresis: (low, high) in place of the threshold, see
            :class:`~tfinet_mm.scenes.change_rules.ChangeRules`.
        smooth: Odd side of a square in pixels over which change and classes are smoothed.
        merges: New names of classes to merge, see
            :func:`~tfinet_mm.scenes.class_changes.merge_classes`.
        names: New names by name, of merged classes too.
        palette: RGB colours by name.
        polygons: Also write polygons.
        min_area: Least area of a polygon in square metres; by default the scene's own.
        overwrite: Replace other results in ``out``.
        progress: Show a progress bar.

    Returns:
        ``out``. Nothing is done where it holds these results already.

    Raises:
        SceneError: The scene isn't finished, was itself made here, holds a map of another scene, or
            an option is out of range.
        ManifestError: ``out`` holds other results; the message lists the differences.
        FolderInUseError: Another run is writing to ``out``.
        MissingExtraError: rasterio, or a package for polygons, is not installed.
    """
    started = time.monotonic()
    scene, out = Path(scene), Path(out)
    source = SceneResults(scene)
    _check_source(source, out)
    if threshold is not None and hysteresis is not None:
        raise SceneError('hysteresis has two thresholds of its own; leave out threshold')
    before = source.scene.get('settings', {})
    if threshold is None:
        threshold = float(source.scene['threshold'])
    min_area = float(before.get('min_area', 0) if min_area is None else min_area)
    rules = ChangeRules(threshold, hysteresis, smooth)
    classes, numbers = merge_classes(source.classes, merges or {})
    classes = rename_classes(classes, names, palette)
    if not 0 <= min_area < float('inf'):
        raise SceneError(f'min_area must be 0 square metres or more, got {min_area}')
    summed = bool(merges) and (scene / PROBABILITIES_FILE).is_file()
    if merges and not summed:
        warnings.warn(
            f'{scene} holds no {PROBABILITIES_FILE}: classes are merged without summing their '
            'probabilities',
            stacklevel=2,
        )
    finishing = rules.settings() | dict(
        merges=dict(merges or {}),
        class_names=list(classes.names),
        palette=[list(colour) for colour in classes.palette],
        probabilities=summed,
    )
    settings: dict[str, Any] = plain(
        before
        | dict(
            threshold=rules.levels[1],
            polygons=polygons,
            min_area=min_area,
            finishing=finishing,
        )
    )
    (settings[FINISHED_FROM],) = fingerprints([scene / SCENE_FILE])
    origin = source.scene.get('provenance')
    if origin is not None:
        kept = {key: settings[key] for key in ('threshold', 'polygons', 'min_area')}
        # A threshold alone gives the files of a prediction, tags included.
        others = hysteresis is not None or smooth > 1 or merges or names or palette
        kept |= dict(finishing=plain(finishing)) if others else {}
        origin = origin | dict(settings=origin['settings'] | kept)
    staged = {name: source.folder / f'{name}.tif' for name in STAGED}
    if summed:
        staged[PROBABILITIES] = scene / PROBABILITIES_FILE
    _check_staged(source, staged)
    with scene_manifest(out, SCENE_FILE) as run:
        if run.lock_unless(lambda: not overwrite and _is_made(run, settings)):
            return out
        copied = [name for name in COPIED if (scene / name).is_file()]
        files = result_files(classes, polygons, REGISTRATION_FILE in copied)
        warn_of_leftovers(out, files)
        run.path.unlink(missing_ok=True)
        work = out / WORK_FOLDER
        work.mkdir(parents=True, exist_ok=True)
        made = write_results(
            out,
            staged,
            source.grid,
            classes,
            threshold=threshold,
            hysteresis=hysteresis,
            smooth=smooth,
            merged=numbers if merges else None,
            polygons=polygons,
            min_area=min_area,
            tags=provenance_tags(origin or {}),
            work=work,
            progress=progress,
        )
        for name in COPIED:
            (out / name).unlink(missing_ok=True)
        for name in copied:
            with whole_file(out / name) as partial:
                shutil.copyfile(scene / name, partial)
        shutil.rmtree(work)
        told = source.scene | made
        for key in ('resumed_rows', 'seconds_predicting'):
            told.pop(key, None)
        told |= {} if origin is None else dict(provenance=origin)
        run.write(
            told
            | dict(
                files=files,
                rasters=raster_hashes(out, files),
                settings=settings,
                software=f'tfinet_mm {__version__}',
                seconds=time.monotonic() - started,
            )
            | {FINISHED_FROM: str(scene.absolute())}
        )
    return out


def _check_source(source: SceneResults, out: Path) -> None:
    if FINISHED_FROM in source.scene:
        raise SceneError(
            f'{source.folder} was itself finished from {source.scene[FINISHED_FROM]}; give that '
            'folder, which holds the prediction'
        )
    if out.resolve() == source.folder.resolve():
        raise SceneError(f'{out} holds the prediction, which stays as it is; choose another --out')


def _check_staged(source: SceneResults, staged: Mapping[str, Path]) -> None:
    """Refuse maps of another scene, and warn of edited ones."""
    for name, path in staged.items():
        with open_raster(path, len(BAND_NAMES) if name == PROBABILITIES else 1) as raster:
            check_origin(path, raster, source.scene.get('provenance'))
        source.warn_if_edited(path)


def _is_made(run: RunManifest, settings: dict[str, Any]) -> bool:
    """Return whether all results of these settings are there; refuse those of others."""
    found = run.read(['settings'])
    if found is None:
        return False
    run.check(found['settings'], settings)
    return is_finished(run.folder)
