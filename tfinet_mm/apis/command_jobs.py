"""Predict each pair in a job of its own, on this machine or through an executor of Snakemake.

The process that the user starts claims the folder and holds its lock; each job checks that the
folder is still claimed with its settings, and locks its own pair.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.apis.command_output import Pair
from tfinet_mm.errors import JobError
from tfinet_mm.utils.files import sample_file
from tfinet_mm.utils.folder_lock import FolderLock
from tfinet_mm.utils.manifest import RunManifest
from tfinet_mm.utils.snakemake import executor_options, run_snakemake, thread_words

SNAKEFILE = Path(__file__).with_name('Snakefile')
FOLDER, LOG_FILE = '.jobs', 'log.txt'
MOST = 20
"""Failed pairs that an error names."""


def run_jobs(
    args: argparse.Namespace, run: RunManifest, todo: Sequence[Pair], kinds: set[str]
) -> None:
    """Predict pairs in a job each, and wait for all of them; one that fails doesn't stop others.

    Args:
        args: The command line.
        run: The manifest of the folder, which is claimed and locked.
        todo: The pairs.
        kinds: Kinds of all pairs of the command, which its settings tell apart.

    Raises:
        FolderInUseError: A job of an earlier run is still at work on one of them.
        JobError: Some failed; the message names each, with its log.
    """
    folder = run.folder / FOLDER
    jobs = {}
    for number, pair in enumerate(todo):
        lock = pair_lock(run.folder, pair)
        lock.acquire()
        lock.release()
        log = os.path.abspath(lock.folder / LOG_FILE)
        Path(log).unlink(missing_ok=True)
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
    failed = [
        (todo[int(number)], job['log'])
        for number, job in jobs.items()
        if not (folder / f'{number}.done').exists()
    ]
    if failed:
        lines = [f'\n  {pair.name}: {_last_line(str(log))}' for pair, log in failed[:MOST]]
        if len(failed) > MOST:
            lines.append(f'\n  and {len(failed) - MOST} more')
        raise JobError(
            f'{len(failed)} of {len(todo)} pairs were not predicted (Snakemake ended with exit '
            f'code {code}):{"".join(lines)}\nStart the command again to predict what is left'
        )


def pair_lock(out: Path, pair: Pair) -> FolderLock:
    """Return the lock of a pair, which a job holds as long as it lives."""
    return FolderLock(sample_file(out / FOLDER, pair.name, ''), f'maps of {pair.name}')


def _last_line(log: str) -> str:
    """Return the end of what a job printed, and where the rest is."""
    try:
        lines = Path(log).read_text(encoding='utf-8', errors='replace').strip().splitlines()
    except OSError:
        return f'its job has not begun; its log would be {log}'
    return f'{lines[-1] if lines else "it printed nothing"}\n    log: {log}'
