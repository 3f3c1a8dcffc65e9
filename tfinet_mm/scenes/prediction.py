"""Predict a scene: from two rasters to the files of its results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike, import_rasterio
from tfinet_mm.scenes.blending import WindowPlan
from tfinet_mm.scenes.predictor import ScenePredictor
from tfinet_mm.scenes.provenance import provenance, provenance_tags
from tfinet_mm.scenes.quality import quality_sources
from tfinet_mm.scenes.quicklook import write_quicklooks
from tfinet_mm.scenes.reader import ScenePair, input_files
from tfinet_mm.scenes.registering import (
    SceneRegistration,
    aligned_pair,
    complete_registration,
    tell_registration,
)
from tfinet_mm.scenes.registration_file import (
    REGISTRATION_FILE,
    check_registration_file,
    write_registration,
)
from tfinet_mm.scenes.results import (
    SCENE_FILE,
    is_finished,
    raster_hashes,
    result_files,
    warn_of_leftovers,
)
from tfinet_mm.scenes.staging import Staging, scene_manifest
from tfinet_mm.scenes.streaming import Network, WindowReader, needed_rows, predict_rows, share
from tfinet_mm.scenes.write_results import write_results
from tfinet_mm.utils.dist import get_dist_info, on_each_rank, on_first_rank
from tfinet_mm.utils.fingerprints import fingerprints, joined
from tfinet_mm.utils.manifest import RunManifest, plain
from tfinet_mm.utils.places import absolute
from tfinet_mm.utils.prefetch import beside
from tfinet_mm.utils.windows import warn_of_small_windows
from tfinet_mm.version import __version__

STAGING_FOLDER = '.staging'
# GDAL's cache: twice the bytes of a row of windows, plus this for the pixels around it.
CACHE_BASE = 128 << 20
UNSHOWN = ('before_crs', 'after_crs', 'same_grid', 'nodata', 'ignore_scale')


def predict_scene(
    inferencer: ScenePredictor,
    before: PathLike,
    after: PathLike,
    out: PathLike,
    *,
    window: int | None = None,
    overlap: int | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    overwrite: bool = False,
    progress: bool = False,
    polygons: bool = True,
    min_area: float = 0.0,
    registration: bool = True,
    align: bool = False,
    probabilities: bool = True,
    name: str = '',
    **reading: Any,
) -> Path:
    """Predict two georeferenced rasters of any size, and write maps, polygons and areas.

    Memory holds no more than a row of windows. Finished rows are on disk: a run
    that was stopped resumes where it was, with the same results. Of several
    processes (``torch.distributed``) each predicts its share of the rows, and the
    first one writes the results.

    Args:
        inferencer: The trained network, such as :class:`~tfinet_mm.apis.SCDInferencer`.
        before: The file of the first date: a path, also into a zip file (``a.zip/b.tif``), an
            address (``https://...``), or a ``/vsi`` path of GDAL.
        after: The file of the second.
        out: Folder for the results, see ``docs/scene_results.md``.
        window: Side of a window in pixels; by default that of the inferencer.
            The network sees each window as a whole.
        overlap: Pixels that windows share; by default a quarter of ``window``.
        batch_size: Windows that go through the network together; by default
            that of the inferencer.
        workers: Threads that read ahead; results don't depend on it.
        overwrite: Replace the results in ``out``, finished or not.
        progress: Show a progress bar.
        polygons: Also write polygons of the changes.
        min_area: Least area of a polygon in square metres.
        registration: Measure the shift between the dates, log it, and warn above a pixel.
        align: Move ``after`` onto ``before`` by that shift.
        probabilities: Keep the probabilities of the likeliest classes, with which
            :func:`tfinet_mm.scenes.finishing.finish_scene` merges classes.
        name: Name of the scene in the log, for one of several; nothing else depends on it.
        **reading: Options of :class:`~tfinet_mm.scenes.reader.ScenePair`. By
            default ``bands`` and ``stretch`` are the bands and the value range
            of the network's own pipeline. Where it has no range, 8-bit values
            stay as they are, and others are stretched by percentiles of both
            dates together.

    Returns:
        ``out``. Nothing is done where it holds these results already.

    Raises:
        FileNotFoundError: There is no such file.
        MissingExtraError: rasterio, or a package for polygons, is not installed.
        RemoteFileError: A server doesn't answer, or has no such file.
        NoSpaceError: The disk is full; the next run resumes.
        SceneError: The rasters don't fit together or to the network, or an option
            is out of range; the message names the option to set.
        ManifestError: ``out`` holds results of other settings or other files; the
            message lists the differences.
        FolderInUseError: Another run is writing to ``out``.
    """
    started = time.monotonic()
    out = Path(out)
    rank, world = get_dist_info()
    reading = _with_defaults(inferencer, reading)
    inputs = dict(before=before, after=after)
    inputs |= {name: one.path for name, one in quality_sources(reading.get('quality')).items()}
    options = _options(inferencer, window, overlap, batch_size)
    output_settings: dict[str, Any] = dict(
        polygons=bool(polygons), min_area=float(min_area), registration=bool(registration)
    )
    if not (min_area >= 0 and np.isfinite(min_area)):
        raise SceneError(f'min_area must be 0 square metres or more, got {min_area}')
    if align and not registration:
        raise SceneError(
            'align=True (--align) needs the shift that registration=False (--no-registration) '
            'leaves out; give one of the two'
        )
    files = result_files(inferencer.class_table, polygons, registration, probabilities)
    rasterio = import_rasterio(before)
    if registration:
        check_registration_file()

    def prepare() -> _Prepared | None:
        with aligned_pair(before, after, reading, align) as (pair, registered):
            _check_network(inferencer, pair)
            size = pair.grid.width, pair.grid.height
            staging = Staging(out / STAGING_FOLDER, *size, probabilities=probabilities)
            for manifest in (run, staging.manifest):
                manifest.recall()
            settings = _settings(inferencer, options, pair, inputs)
            # Options that neither the grid nor the metadata shows.
            said = {key: str(reading[key]) for key in UNSHOWN if reading.get(key) is not None}
            settings['reading'] = said | (dict(align='True') if align else {})
            settings['probabilities'] = bool(probabilities)
            if run.lock_unless(lambda: not overwrite and _is_made(run, settings | output_settings)):
                if staging.folder.exists():
                    # Left over from a run that was stopped after its last file; it may stay.
                    with suppress(OSError):
                        run.lock()
                        staging.remove()
                return None
            # The folder is of the same settings, but lacks files.
            incomplete = not overwrite and run.path.is_file()
            if overwrite:
                warn_of_leftovers(out, files)
                staging.remove()
            run.path.unlink(missing_ok=True)
            staging.prepare(settings)
            _tell_stretch(pair, name)
            stretches = dict(zip(('before', 'after'), pair.stretches, strict=True))
            plan = WindowPlan(
                pair.grid.width, pair.grid.height, options['window'], options['overlap']
            )
            if incomplete and staging.restore(out):
                staging.mark(*range(len(plan.tops)))
            missing = sorted(set(range(len(plan.tops))) - staging.finished())
            if registration:
                registered = complete_registration(pair, registered)
                tell_registration(registered, align, before, after, name)
            return _Prepared(settings, stretches, plan, missing, registered)

    # Opened here, so that the folder is locked until the results are written.
    with scene_manifest(out, SCENE_FILE) as run:
        with rasterio.Env(GDAL_CACHEMAX=CACHE_BASE):
            prepared = on_first_rank(prepare)
        if prepared is None:
            return out
        settings, stretches, plan, missing, registered = prepared
        staging = Staging(out / STAGING_FOLDER, plan.width, plan.height, rank, probabilities)
        mine = share(missing, rank, world)

        def open_pair() -> ScenePair:
            made = dict(stretch=stretches, correction=registered.correction)
            return ScenePair(before, after, **reading | made)

        def predict() -> None:
            bar: Any = tqdm(
                total=sum(map(len, needed_rows(plan, mine))),
                desc=out.name,
                unit='window',
                disable=not progress or rank > 0,
            )
            with (
                rasterio.Env(GDAL_CACHEMAX=_cache_bytes(plan, inferencer.network_bands)),
                WindowReader(open_pair) as reader,
                inferencer.whole_images(),
                bar,
            ):
                predict_rows(
                    plan,
                    mine,
                    reader,
                    _network(inferencer),
                    2 * inferencer.class_table.num_classes + 1,
                    staging,
                    options['batch_size'],
                    workers,
                    bar.update,
                )

        # One process that fails must not leave the others waiting for it.
        on_each_rank(predict)
        predicted = time.monotonic() - started

        def finish() -> None:
            lacking = set(range(len(plan.tops))) - staging.finished()
            if lacking:
                raise OSError(
                    f'{staging.folder} lacks the rows {sorted(lacking)[:5]} of windows that '
                    'another process wrote; all processes must share one folder'
                )
            changed = run.differences(settings['inputs'], _inputs(inputs))
            if changed:
                raise SceneError(
                    f'{changed[0].wanted["file"]} changed while it was predicted; start again with '
                    '--overwrite, or in another folder, when it is written'
                )
            origin = provenance(
                settings, dict(before=before, after=after), output_settings, inferencer.software
            )
            with open_pair() as pair, beside(partial(write_quicklooks, pair, out)):
                made = _write_results(
                    inferencer, pair, staging, out, output_settings, origin, progress
                )
                if registration:
                    write_registration(out / REGISTRATION_FILE, registered.layers())
                else:
                    (out / REGISTRATION_FILE).unlink(missing_ok=True)
            found = made | dict(
                files=files,
                rasters=raster_hashes(out, files),
                registration=registered.metadata(),
                settings=settings | output_settings,
                **{key: settings[key] for key in ('before', 'after', 'grid')},
                software=f'tfinet_mm {__version__}',
                provenance=origin,
                resumed_rows=len(plan.tops) - len(missing),
                seconds_predicting=predicted,
                seconds=time.monotonic() - started,
            )
            run.write(found)
            staging.remove()

        on_first_rank(finish)
    return out


class _Prepared(NamedTuple):
    """Values that the first process sends to the others."""

    settings: dict[str, Any]
    stretches: Mapping[str, Any]
    plan: WindowPlan
    missing: list[int]
    registered: SceneRegistration


def _cache_bytes(plan: WindowPlan, bands: int) -> int:
    """Return the size of GDAL's cache, by a row of windows of both dates as float32."""
    return CACHE_BASE + 2 * 2 * bands * 4 * plan.size * plan.width


def _with_defaults(inferencer: ScenePredictor, reading: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reader's options, by default with bands and values of the network's pipeline."""
    options = dict(reading)
    if options.get('bands') is None and inferencer.bands is not None:
        options['bands'] = inferencer.bands
    if options.get('stretch') is None:
        own = inferencer.value_range
        options['stretch'] = 'auto' if own is None else own
    return options


def _tell_stretch(pair: ScenePair, name: str) -> None:
    found = pair.describe_stretch()
    if found is not None:
        print(f'Stretch{f" of {name}" if name else ""}: {found}')


def _options(
    inferencer: ScenePredictor, window: int | None, overlap: int | None, batch_size: int | None
) -> dict[str, int]:
    size = inferencer.window if window is None else int(window)
    if overlap is None:
        overlap = inferencer.overlap if size == inferencer.window else size // 4
    batch = inferencer.batch_size if batch_size is None else int(batch_size)
    if batch < 1:
        raise SceneError(f'batch_size must be 1 or more, got {batch}')
    WindowPlan(1, 1, size, int(overlap))
    if size != inferencer.window:
        warn_of_small_windows((size, size), stacklevel=4)
    return dict(window=size, overlap=int(overlap), batch_size=batch)


def _check_network(inferencer: ScenePredictor, pair: ScenePair) -> None:
    pair.check_count(inferencer.network_bands)
    if inferencer.other_transforms:
        raise SceneError(
            "the network's test pipeline does more than load and pack a pair: "
            f'{", ".join(inferencer.other_transforms)}; scenes are predicted without, so take it '
            'out of the config, or predict the rasters as pictures (--input-type picture)'
        )


def _settings(
    inferencer: ScenePredictor,
    options: dict[str, int],
    pair: ScenePair,
    inputs: Mapping[str, PathLike],
) -> dict[str, Any]:
    """Return everything that the maps depend on, as plain values."""
    sources = pair.metadata()
    for role, path in inputs.items():
        date, _, kind = role.partition('_')
        source = sources[date][kind] if kind else sources[date]
        source['file'] = absolute(path)
    grid = pair.grid
    crs = None if grid.crs is None else grid.crs.to_wkt()
    placed = dict(crs=crs, transform=list(grid.transform)[:6], width=grid.width, height=grid.height)
    settings = inferencer.settings | options | sources | dict(grid=placed)
    return plain(settings | dict(inputs=_inputs(inputs)))


def _inputs(paths: Mapping[str, PathLike]) -> dict[str, Any]:
    """Return the input files of a scene, by content."""
    return {role: joined(fingerprints(input_files(path))) for role, path in paths.items()}


def _is_made(run: RunManifest, settings: dict[str, Any]) -> bool:
    """Return whether all results of these settings are there; refuse those of others."""
    found = run.read(['settings'])
    if found is None:
        return False
    run.check(found['settings'], settings)
    return is_finished(run.folder)


def _network(inferencer: ScenePredictor) -> Network:
    def predict(pairs: np.ndarray) -> list[np.ndarray]:
        # Not joined to one array: copying takes as long as blending.
        parts = inferencer.predict_probabilities(pairs)
        return [part if isinstance(part, np.ndarray) else part.cpu().numpy() for part in parts]

    return predict


def _write_results(
    inferencer: ScenePredictor,
    pair: ScenePair,
    staging: Staging,
    out: Path,
    output_settings: Mapping[str, Any],
    origin: Mapping[str, Any],
    progress: bool,
) -> dict[str, Any]:
    """Make rasters, polygons and areas of the staged maps."""
    return write_results(
        out,
        {name: staging.path(name) for name in staging.kinds},
        pair.grid,
        inferencer.class_table,
        threshold=inferencer.settings['threshold'],
        tags=provenance_tags(origin),
        progress=progress,
        polygons=output_settings['polygons'],
        min_area=output_settings['min_area'],
    )
