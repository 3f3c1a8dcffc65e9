"""The command ``tfinet-predict``: two images, two scenes, or two folders of them to maps."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, get_dist_info
from tqdm import tqdm

from tfinet_mm.apis.command_areas import area_table
from tfinet_mm.apis.command_jobs import pair_lock, run_jobs
from tfinet_mm.apis.command_options import SCENE_OPTIONS, parse_args, reading_options
from tfinet_mm.apis.command_output import (
    Pair,
    check_claim,
    claim_folder,
    folder_manifest,
    list_pairs,
    unfinished_pairs,
    write_result,
)
from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.apis.scene import predict_scene
from tfinet_mm.checkpoints.reading import trust_checkpoints
from tfinet_mm.engine.launch import finish_launch, join_cpu_group, rank_device
from tfinet_mm.errors import JobError
from tfinet_mm.report import check_report, write_report
from tfinet_mm.scenes.quality import quality_sources
from tfinet_mm.scenes.reader import input_files
from tfinet_mm.utils.command import run_command
from tfinet_mm.utils.dist import is_first_rank, on_first_rank, one_rank_reads
from tfinet_mm.utils.fingerprints import fingerprints, joined
from tfinet_mm.utils.snakemake import check_snakemake


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict all pairs that aren't finished."""
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    join_cpu_group(args.launcher)
    _predict(args)
    # Not while an error is being raised: leaving waits for the others, and would hide it.
    finish_launch()


def _predict(args: argparse.Namespace) -> None:
    out = Path(args.out)
    if args.report:
        check_report()
    in_jobs = args.executor is not None or args.jobs is not None
    if in_jobs and not args.dry_run:
        check_snakemake(args.executor)
    pairs = on_first_rank(
        lambda: list_pairs(args.before, args.after, args.input_type, args.key_pattern)
    )
    kinds = {pair.kind for pair in pairs}
    _check_options(args, kinds)
    with one_rank_reads():
        inferencer = _inferencer(args, kinds)
        settings = _settings(args, inferencer, kinds)
    # The folder is locked until the results are written.
    with folder_manifest(out) as run:
        if args.dry_run:
            on_first_rank(
                lambda: _say_left(unfinished_pairs(run, pairs, settings, args.overwrite), pairs)
            )
            return
        todo = on_first_rank(
            lambda: claim_folder(run, pairs, inferencer.class_table, settings, args.overwrite)
        )
        failure = None
        if in_jobs and todo:
            # The jobs may need the memory.
            del inferencer
            try:
                run_jobs(args, run, todo, kinds)
            except JobError as error:
                failure = error
        elif todo:
            _predict_pairs(args, inferencer, todo)
        barrier()
    if is_first_rank():
        made = [pair for pair in todo if pair.is_finished(out)]
        for pair in made:
            if pair.kind == 'scene':
                print(f'\n{out / pair.name}\n{area_table(out / pair.name)}')
        print(f'\nPredicted {len(made)} pairs, {len(pairs) - len(todo)} were finished: {out}')
        if args.report and (made or not failure):
            print(f'Report: {write_report(out)}')
    if failure:
        raise failure


def predict_claimed(arguments: Sequence[str], pair: Pair, kinds: set[str]) -> None:
    """Predict a pair for a command that has claimed the folder.

    Args:
        arguments: The command line.
        pair: One of its pairs.
        kinds: Kinds of all its pairs.

    Raises:
        FolderInUseError: Another job is at work on the pair.
        ManifestError: The folder is claimed for something else by now.
    """
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    out = Path(args.out)
    lock = pair_lock(out, pair)
    lock.acquire()
    try:
        inferencer = _inferencer(args, kinds)
        check_claim(folder_manifest(out), pair, _settings(args, inferencer, kinds))
        _predict_pairs(args, inferencer, [pair])
    finally:
        lock.release()


def _say_left(todo: Sequence[Pair], pairs: Sequence[Pair]) -> None:
    for pair in todo:
        print(f'{pair.name} ({pair.kind})')
    print(f'Left: {len(todo)} of {len(pairs)} pairs')


def _predict_pairs(
    args: argparse.Namespace, inferencer: SCDInferencer, todo: Sequence[Pair]
) -> None:
    """Predict this process's share of all pairs."""
    out = Path(args.out)
    _predict_pictures(args, inferencer, out, [pair for pair in todo if pair.kind == 'picture'])
    for pair in todo:
        if pair.kind == 'scene':
            _predict_scene(args, inferencer, out, pair)


def _check_options(args: argparse.Namespace, kinds: set[str]) -> None:
    """Refuse options that have no meaning for these pairs.

    Raises:
        ValueError: There is one; the message names its use.
    """
    values = {name: getattr(args, name) for name in SCENE_OPTIONS}
    said = [
        f'--{name.replace("_", "-")}'
        for name, value in values.items()
        if value is not None and value is not False
    ]
    if said and 'scene' not in kinds:
        raise ValueError(
            f'{", ".join(said)} is for scenes, and none of the pairs is georeferenced; with '
            '--input-type scene they count as scenes'
        )
    if args.align and args.no_registration:
        raise ValueError(
            '--align needs the shift that --no-registration leaves out; give one of the two'
        )
    if isinstance(args.bands, dict) and 'picture' in kinds:
        raise ValueError(
            'the bands of pictures are the same for both dates: --bands 3 2 1; for scenes '
            '(--input-type scene) they may differ'
        )
    if args.stretch is not None and 'picture' in kinds and not _is_range(args.stretch):
        raise ValueError(
            'of pictures --stretch takes LOW HIGH with LOW below HIGH, such as --stretch 0 3000, '
            f'got {args.stretch!r}; scenes (--input-type scene) take more'
        )


def _is_range(stretch: Any) -> bool:
    """Return whether a stretch is (low, high) for all bands of both dates."""
    if not isinstance(stretch, tuple):
        return False
    low, high = stretch
    return bool(low < high)


def _inferencer(args: argparse.Namespace, kinds: set[str]) -> SCDInferencer:
    bands = args.bands if isinstance(args.bands, list) else None
    # Pictures are predicted as a whole by default; scenes never are.
    windowed = args.window is not None or 'picture' in kinds
    return SCDInferencer(
        args.config,
        args.checkpoint,
        rank_device(args.launcher, args.device),
        tta=args.tta,
        amp=args.amp or False,
        threshold=args.threshold,
        window=args.window,
        overlap=args.overlap if windowed else None,
        batch_size=args.batch_size,
        bands=bands,
        value_range=args.stretch if 'picture' in kinds else None,
        cfg_options=args.cfg_options,
        align=args.align,
    )


def _settings(
    args: argparse.Namespace, inferencer: SCDInferencer, kinds: set[str]
) -> dict[str, Any]:
    """Return everything that the results depend on."""
    images = dict(bands=inferencer.bands, value_range=inferencer.value_range)
    sections: dict[str, dict[str, Any]] = dict(
        picture=images | dict(window=args.window, overlap=args.overlap, align=args.align),
        scene=images
        | reading_options(args)
        | _quality_settings(args)
        | dict(
            window=inferencer.window,
            overlap=inferencer.overlap if args.overlap is None else args.overlap,
            batch_size=inferencer.batch_size,
            min_area=args.min_area or 0.0,
            polygons=not args.no_polygons,
            registration=not args.no_registration,
            align=args.align,
            probabilities=not args.no_probabilities,
        ),
    )
    return inferencer.settings | {kind: sections[kind] for kind in sorted(kinds)}


def _quality_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the quality bands by content, and the bad values as text."""
    if args.quality is None:
        return {}
    bad = args.bad_values
    return dict(
        quality={
            name: joined(fingerprints(input_files(source.path))) | dict(band=source.band)
            for name, source in quality_sources(args.quality).items()
        },
        bad_values={date: one.describe() for date, one in bad.items()}
        if isinstance(bad, dict)
        else bad and bad.describe(),
    )


def _predict_pictures(
    args: argparse.Namespace, inferencer: SCDInferencer, out: Path, todo: list[Pair]
) -> None:
    """Predict this process's share of the pictures."""
    rank, world = get_dist_info()
    size = inferencer.batch_size
    batches = [todo[start : start + size] for start in range(0, len(todo), size)]
    mine = [pair for batch in batches[rank::world] for pair in batch]
    if not mine:
        return
    results = inferencer.predict(((pair.before, pair.after) for pair in mine), args.workers)
    for index, result in tqdm(results, total=len(mine), unit='pair', disable=rank > 0):
        write_result(out, mine[index].name, result)


def _predict_scene(
    args: argparse.Namespace, inferencer: SCDInferencer, out: Path, pair: Pair
) -> None:
    predict_scene(
        inferencer,
        pair.before,
        pair.after,
        out / pair.name,
        overlap=args.overlap,
        workers=args.workers,
        overwrite=args.overwrite,
        progress=True,
        polygons=not args.no_polygons,
        min_area=args.min_area or 0.0,
        registration=not args.no_registration,
        align=args.align,
        probabilities=not args.no_probabilities,
        **reading_options(args),
    )


def command() -> None:
    """Run as the command of the terminal."""
    run_command(main)
