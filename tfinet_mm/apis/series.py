"""Predict each neighbouring pair of a series of scenes, and sum the pairs up."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tfinet_mm.apis.command_output import (
    SUFFIXES,
    Pair,
    claim_folder,
    folder_manifest,
    read_inputs,
)
from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.apis.scene import predict_scene
from tfinet_mm.io.images import PathLike
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.results import SCENE_FILE, SceneResults
from tfinet_mm.scenes.series.dates import check_dates, find_dates
from tfinet_mm.scenes.series.grid import FIRST, series_grid
from tfinet_mm.scenes.series.maps import MOST_INTERVALS, write_series
from tfinet_mm.scenes.series.stretch import series_stretch
from tfinet_mm.scenes.stretch import Stretch
from tfinet_mm.utils.dist import on_first_rank
from tfinet_mm.utils.manifest import plain
from tfinet_mm.utils.places import is_virtual, one_file, stem


def predict_series(
    inferencer: SCDInferencer | None,
    scenes: Sequence[PathLike],
    out: PathLike,
    *,
    dates: Sequence[str] | None = None,
    grid: str | float = FIRST,
    crs: Any = None,
    overwrite: bool = False,
    align: bool = False,
    workers: int = 2,
    progress: bool = False,
    quality: Sequence[PathLike | None] | None = None,
    bad_values: Any = None,
    **options: Any,
) -> dict[str, Any]:
    """Predict each neighbouring pair of scenes on one grid, and write when each place changed.

    A run that was stopped resumes where it was. Scenes that are added at the end need only their
    own pair, unless they make the common place smaller.

    Args:
        inferencer: The trained network; None for the weights that come with the package.
        scenes: Files of two or more dates, in the order of time.
        out: Folder for the results: one for each pair, ``1_NAME-2_NAME`` and so on, as
            :func:`~tfinet_mm.apis.predict_scene` writes it, and the files of
            :func:`~tfinet_mm.scenes.series.maps.write_series`.
        dates: A date for each scene, ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``; by default those in
            tags or names of the files, or else numbers from 1 on.
        grid: Pixels of all results, which cover the overlap of all scenes: ``'first'`` for those
            of the first scene, or the size of a pixel in the units of its CRS.
        crs: CRS of all scenes, in place of those of the files.
        overwrite: Predict finished pairs again.
        align: Move each scene onto the one before, and so onto the first.
        workers: Threads that read ahead.
        progress: Show progress bars.
        quality: A quality band for each scene, such as a map of its clouds, or None for a scene
            that has none: a file, or ``FILE:BAND``.
        bad_values: Values of the quality bands that count as bad, see
            :func:`~tfinet_mm.scenes.bad_values.read_bad_values`.
        **options: Further arguments of :func:`tfinet_mm.scenes.prediction.predict_scene`. Those of
            the reader count for all scenes, and percentiles are those of all scenes together.

    Returns:
        Content of ``series.json``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There are fewer than two scenes, one is there twice, or the dates don't rise.
        SceneError: The scenes don't fit together or to the network, or an option is out of range.
        ManifestError: ``out`` holds pairs of other settings, files or another common grid; the
            message lists the differences.
    """
    inferencer = SCDInferencer() if inferencer is None else inferencer
    reading = {name: options.get(name) for name in ('bands', 'nodata', 'stretch')}
    for name, value in (*reading.items(), ('bad_values', bad_values)):
        if isinstance(value, Mapping):
            raise ValueError(
                f'{name} of a series counts for all scenes and takes no before=... after=..., got '
                f'{value}; write scenes that differ to files of one kind first'
            )
    bands_of_quality = check_quality(quality, bad_values, len(scenes))
    pairs = list_series(scenes, bands_of_quality)
    files = [pairs[0].before, *(pair.after for pair in pairs)]
    bands = inferencer.bands if reading['bands'] is None else reading['bands']
    with folder_manifest(Path(out)) as run:
        entries, bad = on_first_rank(lambda: read_inputs(run, pairs))
        if bad:
            raise next(iter(bad.values()))
        dates = on_first_rank(lambda: series_dates(files, dates))
        common = on_first_rank(
            lambda: series_grid(files, grid, crs=crs, bands=bands, nodata=reading['nodata'])
        )
        settings = dict(
            options,
            bad_values=bad_values,
            align=align,
            grid=_plain_grid(common),
            crs=crs and str(crs),
        )
        todo = on_first_rank(
            lambda: claim_folder(
                run,
                pairs,
                inferencer.class_table,
                inferencer.settings | dict(scene=plain(settings)),
                overwrite,
                entries,
            )
        )
        kept = None if overwrite else _stretch_of(Path(out) / pairs[0].name)
        wanted = reading['stretch']
        if wanted is None and inferencer.value_range is None:
            wanted = 'auto'
        stretches = on_first_rank(
            lambda: (
                series_stretch(
                    files,
                    common,
                    wanted,
                    options.get('percentiles') or (2, 98),
                    crs=crs,
                    bands=bands,
                    nodata=reading['nodata'],
                    ignore_scale=bool(options.get('ignore_scale')),
                    quality=bands_of_quality,
                    bad_values=bad_values,
                    kept=kept,
                )
                if todo
                else None
            )
        )
        for index, pair in enumerate(pairs):
            if pair not in todo:
                continue
            if stretches is not None:
                options['stretch'] = stretches[index]
            predict_scene(
                inferencer,
                pair.before,
                pair.after,
                Path(out) / pair.name,
                grid=common,
                before_crs=crs,
                after_crs=crs,
                before_correction=_correction(Path(out), pairs[index - 1]) if index else None,
                overwrite=overwrite,
                align=align,
                workers=workers,
                progress=progress,
                name=pair.name,
                quality=pair.quality or None,
                bad_values=bad_values if pair.quality else None,
                **options,
            )
        names = [pair.name for pair in pairs]
        return on_first_rank(lambda: write_series(Path(out), names, dates))


def check_quality(
    quality: Sequence[PathLike | None] | None, bad_values: Any, scenes: int
) -> list[str | None]:
    """Return the quality band of each scene.

    Raises:
        ValueError: There is another number of them than of scenes, or bad values are given
            without quality bands, or the other way round.
    """
    if quality is None:
        if bad_values is not None:
            raise ValueError(
                'bad_values (--bad-values) belong to quality bands; give quality (--quality) too'
            )
        return [None] * scenes
    if isinstance(quality, str | os.PathLike) or len(quality) != scenes:
        raise ValueError(
            f'expected a quality band for each of the {scenes} scenes, None (on the command line '
            f"'-') for a scene without one; got {quality}"
        )
    if bad_values is None:
        raise ValueError(
            'the quality bands need the values that count as bad: give bad_values (--bad-values)'
        )
    return [None if one is None else os.fspath(one) for one in quality]


def list_series(
    scenes: Sequence[PathLike], quality: Sequence[str | None] | None = None
) -> list[Pair]:
    """Return the neighbouring pairs of a series, in its order.

    Args:
        scenes: Their files.
        quality: The quality band of each, None where it has none.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There are fewer than two scenes or too many, or one is there twice.
    """
    for path in scenes:
        if not is_virtual(path) and not os.path.isfile(path):
            raise FileNotFoundError(f'there is no file {path}')
    files = [one_file(path, SUFFIXES) for path in scenes]
    real = [path if is_virtual(path) else os.path.realpath(path) for path in files]
    twice = [path for number, path in enumerate(real) if path in real[:number]]
    if twice:
        raise ValueError(f'{twice[0]} is given twice; give each scene once')
    if not 2 <= len(files) <= MOST_INTERVALS + 1:
        raise ValueError(
            f'expected 2 to {MOST_INTERVALS + 1} scenes of one place in the order of time, got '
            f'{len(files)}'
        )
    names = [f'{number}_{stem(path)}' for number, path in enumerate(files, start=1)]
    ends = zip(
        pairwise(names), pairwise(files), pairwise(quality or [None] * len(files)), strict=True
    )
    return [Pair('-'.join(both), 'scene', *paths, *own) for both, paths, own in ends]


def series_dates(files: Sequence[PathLike], dates: Sequence[str] | None = None) -> list[str]:
    """Return the stated dates, those of the files, or numbers.

    Raises:
        ValueError: There is another number of dates than of scenes, or they don't rise.
    """
    if dates is None:
        return find_dates(files) or [str(number) for number in range(1, len(files) + 1)]
    if len(dates) != len(files):
        raise ValueError(f'expected a date for each of the {len(files)} scenes, got {len(dates)}')
    check_dates(dates)
    return list(dates)


def _plain_grid(grid: SceneGrid) -> dict[str, Any]:
    crs = None if grid.crs is None else grid.crs.to_wkt()
    return dict(crs=crs, transform=list(grid.transform)[:6], width=grid.width, height=grid.height)


def _stretch_of(folder: Path) -> Stretch | None:
    """Return the stretch of all dates with which a finished pair was predicted, if any."""
    if not (folder / SCENE_FILE).is_file():
        return None
    found = SceneResults(folder).scene['before']['stretch']
    if found['kind'] != 'percentiles':
        return None
    return Stretch(**{key: _fixed(value) for key, value in found.items()})


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _correction(out: Path, earlier: Pair) -> list[float] | None:
    """Return the move of the scene at which a finished pair ends."""
    after = SceneResults(out / earlier.name).scene['after']
    return after.get('correction')
