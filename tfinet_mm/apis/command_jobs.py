"""Predict each pair in a job of its own, on this machine or through an executor of Snakemake.

The process that the user starts claims the folder and holds its lock; each job checks that the
folder is still claimed with its settings, and locks its own pair.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfinet_mm.apis.command_outcomes import FAILED, PREDICTED, Outcome
from tfinet_mm.apis.command_output import Pair
from tfinet_mm.errors import JobError, ManifestError
from tfinet_mm.utils.files import sample_file
from tfinet_mm.utils.folder_lock import FolderLock
from tfinet_mm.utils.manifest import RunManifest, read_json
from tfinet_mm.utils.snakemake import executor_options, run_snakemake, thread_words

SNAKEFILE = Path(__file__).with_name('Snakefile')
FOLDER, LOG_FILE, OUTCOME_FILE = '.jobs', 'log.txt', 'outcome.json'


def run_jobs(
    args: argparse.Namespace, run: RunManifest, todo: Sequence[Pair], kinds: set[str]
) -> dict[str, Outcome]:
    """Predict pairs in a job each, and wait for all of them; one that fails doesn't stop others.

    Args:
        args: The command line.
        run: The manifest of the folder, which is claimed and locked.
        todo: The pairs.
        kinds: Kinds of all pairs of the command, which its settings tell apart.

    Returns:
        The outcome of each pair by its name; the reason of a failure names the log.

    Raises:
        FolderInUseError: A job of an earlier run is still at work on one of them.
        JobError: Snakemake ended before any job began.
    """
    folder = run.folder / FOLDER
    jobs = {}
    for number, pair in enumerate(todo):
        lock = pair_lock(run.folder, pair)
        lock.acquire()
        lock.release()
        log = os.path.abspath(lock.folder / LOG_FILE)
        for name in (LOG_FILE, OUTCOME_FILE):
            (lock.folder / name).unlink(missing_ok=True)
        jobs[str(number)] = dict(pair=pair, log=log)
    shared = args.executor in (None, 'local') and args.jobs is not None
    share = max(1, (os.cpu_count() or 1) // args.jobs) if shared else None
    manifest = RunManifest(folder, 'jobs.json')
    manifest.write(
        dict(
            folder=os.getcwd(),
            arguments=args.arguments,
            kinds=sorted(kinds),
            variables=thread_words(share),
            jobs=jobs,
        )
    )
    options = [*executor_options(args.executor, args.jobs), '--keep-going', *args.snakemake]
    targets = [f'{number}.done' for number in jobs]
    code = run_snakemake(SNAKEFILE, manifest.path, targets, options, run.held)
    logs = {pair.name: Path(log) for pair, log in zip(todo, map(_log, jobs.values()), strict=True)}
    if code and not any(log.exists() for log in logs.values()):
        raise JobError(
            f'Snakemake ended with exit code {code} before any job began; its messages above tell '
            'why'
        )
    done = (folder / f'{number}.done' for number in jobs)
    return {
        name: _outcome(log, made.exists())
        for (name, log), made in zip(logs.items(), done, strict=True)
    }


def _log(job: Mapping[str, object]) -> str:
    return str(job['log'])


def _outcome(log: Path, made: bool) -> Outcome:
    """Return what a job left: a killed one has no outcome of its own."""
    try:
        left = read_json(log.with_name(OUTCOME_FILE), Outcome._fields)
    except ManifestError:
        left = None
    seconds = left['seconds'] if left else None
    if made:
        return Outcome(PREDICTED, seconds)
    reason = left['error'] if left and left['error'] else _last_line(log)
    return Outcome(FAILED, seconds, f'{reason} [log: {log}]')


def pair_lock(out: Path, pair: Pair) -> FolderLock:
    """Return the lock of a pair, which a job holds as long as it lives."""
    return FolderLock(sample_file(out / FOLDER, pair.name, ''), f'maps of {pair.name}')


def _last_line(log: Path) -> str:
    """Return the end of what a job printed."""
    try:
        lines = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()
    except OSError:
        return 'its job has not begun'
    return lines[-1] if lines else 'it printed nothing'
