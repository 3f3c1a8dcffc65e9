"""The command ``tfinet-predict``: two images, two scenes, or two folders of them to maps."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tfinet_mm.apis.command_areas import area_table
from tfinet_mm.apis.command_jobs import pair_lock, run_jobs
from tfinet_mm.apis.command_options import SCENE_OPTIONS, parse_args, reading_options
from tfinet_mm.apis.command_outcomes import (
    FAILED,
    FINISHED,
    PREDICTED,
    RESULTS_FILE,
    SOME_FAILED,
    Outcome,
    ends_the_run,
    failure,
    show_failures,
    write_outcomes,
)
from tfinet_mm.apis.command_output import (
    Pair,
    check_claim,
    claim_folder,
    folder_manifest,
    known_names,
    list_pairs,
    read_inputs,
    same_files,
    unfinished_pairs,
    write_result,
)
from tfinet_mm.apis.command_quality import (
    check_quality,
    pair_reading,
    pictures_with_quality,
    quality_settings,
)
from tfinet_mm.apis.command_table import is_table
from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.apis.scene import predict_scene
from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.engine.ranks import finish_launch, join_cpu_group, rank_device
from tfinet_mm.report import check_report, say_older_report, write_report
from tfinet_mm.utils.command import run_command
from tfinet_mm.utils.dist import (
    gather,
    get_dist_info,
    is_first_rank,
    on_each_rank,
    on_first_rank,
    one_rank_reads,
)
from tfinet_mm.utils.manifest import RunManifest
from tfinet_mm.utils.snakemake import check_snakemake


def main(arguments: Sequence[str] | None = None) -> int | None:
    """Predict all pairs that aren't finished.

    Returns:
        None, or the exit status 3 where pairs of folders or of a table failed.
    """
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    join_cpu_group(args.launcher)
    status = _predict(args)
    # Not while an error is being raised: leaving waits for the others, and would hide it.
    finish_launch()
    return status


def _predict(args: argparse.Namespace) -> int | None:
    out = Path(args.out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f'--out {out} is a file, expected a folder; choose another name')
    if args.report:
        check_report()
    in_jobs = args.executor is not None or args.jobs is not None
    if in_jobs and not args.dry_run:
        check_snakemake(args.executor)
    is_list = _is_list(args)
    if is_table(args.before) and os.path.realpath(args.before) == os.path.realpath(
        out / RESULTS_FILE
    ):
        raise ValueError(
            f'{args.before} is the table that the command writes; copy it to another folder first'
        )
    # The folder is locked until the results are written.
    with folder_manifest(out) as run:
        pairs, entries, bad = on_first_rank(lambda: _list_pairs(args, run))
        if bad and not is_list:
            raise next(iter(bad.values()))
        kinds = {pair.kind for pair in pairs}
        _check_options(args, kinds)
        check_quality(args, pairs)
        with one_rank_reads():
            inferencer = _inferencer(args, kinds)
            settings = _settings(args, inferencer, kinds)
        good = [pair for pair in pairs if pair not in bad]
        outcomes = {pair.name: failure(error) for pair, error in bad.items()}
        if args.dry_run:
            left = set(
                on_first_rank(
                    lambda: unfinished_pairs(run, good, settings, args.overwrite, entries)
                )
            )
            if is_first_rank():
                _say_left([pair for pair in pairs if pair in bad or pair in left], pairs)
            return _status(out, pairs, outcomes, table=False)
        todo = on_first_rank(
            lambda: claim_folder(
                run, good, inferencer.class_table, settings, args.overwrite, entries
            )
        )
        finished = len(good) - len(todo)
        waiting = {pair.name for pair in todo}
        outcomes |= {pair.name: Outcome(FINISHED) for pair in good if pair.name not in waiting}
        try:
            if in_jobs and todo:
                # The jobs may need the memory.
                del inferencer
                outcomes |= run_jobs(args, run, todo, kinds)
            elif todo:
                _predict_pairs(args, inferencer, todo, outcomes if is_list else None)
        finally:
            # A folder where all is finished may be read-only.
            if is_list and is_first_rank():
                with suppress(OSError):
                    write_outcomes(out, pairs, outcomes)
    if is_first_rank():
        failed = {name for name, outcome in outcomes.items() if outcome.state == FAILED}
        made = [pair for pair in todo if pair.name not in failed]
        for pair in made:
            if pair.kind == 'scene':
                print(f'\n{out / pair.name}\n{area_table(out / pair.name)}')
        noun = 'pair' if len(made) == 1 else 'pairs'
        print(f'\nPredicted {len(made)} {noun}, {finished} finished before: {out}')
        if args.report and (made or not failed):
            print(f'Report: {write_report(out)}')
        elif made:
            say_older_report(out, [run.path])
    return _status(out, pairs, outcomes)


def _list_pairs(
    args: argparse.Namespace, run: RunManifest
) -> tuple[list[Pair], dict[str, dict[str, Any]], dict[Pair, Exception]]:
    """Return the pairs, the contents of their images, and errors of those that can't be read."""
    known = known_names(run)
    pairs = list_pairs(
        args.before, args.after, args.input_type, args.key_pattern, known, Path(args.out)
    )
    entries, bad = read_inputs(run, pairs)
    return pairs, entries, bad | pictures_with_quality(pairs) | same_files(pairs)


def _is_list(args: argparse.Namespace) -> bool:
    """Return whether the command predicts the pairs of folders or of a table."""
    return is_table(args.before) or os.path.isdir(args.before)


def _status(
    out: Path, pairs: Sequence[Pair], outcomes: Mapping[str, Outcome], table: bool = True
) -> int | None:
    """Show the pairs that failed, in their order, and return the exit status."""
    ends = {pair.name: outcomes.get(pair.name) for pair in pairs}
    failures = {name: one.error for name, one in ends.items() if one and one.state == FAILED}
    if not failures:
        return None
    if is_first_rank():
        show_failures(out, len(pairs), failures, table)
    return SOME_FAILED


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
    args: argparse.Namespace,
    inferencer: SCDInferencer,
    todo: Sequence[Pair],
    outcomes: dict[str, Outcome] | None = None,
) -> None:
    """Predict this process's share of all pairs.

    Args:
        args: The command line.
        inferencer: The network.
        todo: The pairs.
        outcomes: Gets the outcome of each pair, from all processes. A pair that fails then
            doesn't stop the others, unless they would fail as well.

    Raises:
        Exception: The error of the first pair that failed, without ``outcomes``; with it, an
            error such as that of a full disk, which leaves no chance to the others.
    """
    out = Path(args.out)
    own: dict[str, Outcome] = {}
    pictures = [pair for pair in todo if pair.kind == 'picture']
    try:
        on_each_rank(
            lambda: _predict_pictures(args, inferencer, out, pictures, own, outcomes is not None)
        )
        for pair in todo:
            if pair.kind != 'scene':
                continue
            started = time.monotonic()
            try:
                _predict_scene(args, inferencer, out, pair)
                own[pair.name] = Outcome(PREDICTED, time.monotonic() - started)
            except Exception as error:
                if outcomes is None:
                    raise
                own[pair.name] = failure(error, time.monotonic() - started)
                if ends_the_run(error):
                    raise
    finally:
        if outcomes is not None:
            outcomes |= own
    if outcomes is not None:
        for others in gather(own):
            # A scene that failed in one process failed in all.
            outcomes |= others


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
        calibration=args.calibration,
        window=args.window,
        overlap=args.overlap if windowed else None,
        batch_size=args.batch_size,
        bands=bands,
        value_range=args.stretch if 'picture' in kinds else None,
        cfg_options=args.cfg_options,
        align=args.align,
        backend=args.backend,
        compile=args.compile,
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
        | quality_settings(args)
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


def _predict_pictures(
    args: argparse.Namespace,
    inferencer: SCDInferencer,
    out: Path,
    todo: list[Pair],
    outcomes: dict[str, Outcome],
    keep_going: bool,
) -> None:
    """Predict this process's share of the pictures, and note the outcome of each."""
    rank, world = get_dist_info()
    size = inferencer.batch_size
    batches = [todo[start : start + size] for start in range(0, len(todo), size)]
    mine = [pair for batch in batches[rank::world] for pair in batch]
    if not mine:
        return
    bar = tqdm(total=len(mine), unit='pair', disable=rank > 0)
    clock = time.monotonic()

    def seconds() -> float:
        nonlocal clock
        clock, before = time.monotonic(), clock
        bar.update()
        return clock - before

    def note(index: int, error: Exception) -> None:
        if not keep_going:
            raise error
        outcomes[mine[index].name] = failure(error, seconds())
        if ends_the_run(error):
            raise error

    files = ((pair.before, pair.after) for pair in mine)
    with bar:
        for index, result in inferencer.predict(files, args.workers, note):
            try:
                write_result(out, mine[index].name, result)
            except OSError as error:
                note(index, error)
            else:
                outcomes[mine[index].name] = Outcome(PREDICTED, seconds())


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
        name=pair.name if _is_list(args) else '',
        **pair_reading(args, pair),
    )


def command() -> None:
    """Run as the command of the terminal."""
    run_command(main)
