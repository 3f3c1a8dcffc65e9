"""Have Snakemake run jobs, here or through one of its executors."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from tfinet_mm.errors import MissingExtraError
from tfinet_mm.utils.command import count

STOP_S = 20
"""Seconds that Snakemake gets to end what it started, jobs of a cluster too."""
PLUGIN = 'snakemake_executor_plugin_'
OWN = ('local', 'dryrun', 'touch')
"""Executors that come with Snakemake."""


def thread_words(threads: int | None = None) -> str:
    """Return words of the command ``env`` that undo what Snakemake says about threads in each job.

    Args:
        threads: Threads of a job where the user's environment says nothing; None for all.
    """
    names = [f'{one}_NUM_THREADS' for one in ('OMP', 'GOTO', 'OPENBLAS', 'MKL', 'NUMEXPR')]
    found = {name: os.environ.get(name) for name in [*names, 'VECLIB_MAXIMUM_THREADS']}
    if threads is not None and found['OMP_NUM_THREADS'] is None:
        found['OMP_NUM_THREADS'] = str(threads)
    unset = [word for name, value in found.items() if value is None for word in ('-u', name)]
    kept = [f'{name}={value}' for name, value in found.items() if value is not None]
    # A prediction without jobs doesn't need it, nor that its file can be read.
    import shlex

    return shlex.join([*unset, *kept])


def add_executor_options(parser: Any, jobs: str) -> None:
    """Add ``--executor`` and ``--jobs`` to a parser, or to a group of one.

    Args:
        parser: The parser, or the group.
        jobs: Name of the jobs, in the plural, for the help.
    """
    parser.add_argument(
        '--executor',
        metavar='NAME',
        help=f'executor of Snakemake that runs the {jobs}: local, slurm or another that is '
        'installed',
    )
    parser.add_argument(
        '--jobs',
        type=count,
        metavar='N',
        help=f'{jobs} that run at once (default: 1 on this machine, elsewhere as many as can)',
    )


def check_snakemake(executor: str | None = None) -> None:
    """Check that Snakemake and the plugin of an executor are installed.

    Raises:
        MissingExtraError: It isn't; the message names what to install.
    """
    if importlib.util.find_spec('snakemake') is None:
        raise MissingExtraError(
            'jobs are run by Snakemake, which is not installed: pip install "tfinet-mm[recipe]"'
        )
    found = [
        one.name.removeprefix(PLUGIN).replace('_', '-')
        for one in pkgutil.iter_modules()
        if one.name.startswith(PLUGIN)
    ]
    if executor is not None and executor not in (*OWN, *found):
        raise MissingExtraError(
            f'Snakemake has no executor {executor!r}, only {", ".join([*OWN, *found])}: '
            f'pip install snakemake-executor-plugin-{executor}'
        )


def executor_options(executor: str | None, jobs: int | None) -> list[str]:
    """Return the options of Snakemake for an executor, and for the number of jobs at once.

    Args:
        executor: Its name; None for this machine.
        jobs: The number; None for one at a time on this machine, and all elsewhere.
    """
    if executor in (None, 'local'):
        return ['--cores', str(jobs or 1)]
    return ['--executor', str(executor), '--jobs', str(jobs or 'unlimited')]


def run_snakemake(
    snakefile: Path,
    config: Path,
    targets: Sequence[str],
    options: Sequence[str],
    held: Sequence[int] = (),
) -> int:
    """Run Snakemake in the folder of a config; end all it started when this process is stopped.

    Args:
        snakefile: The rules.
        config: Their configuration, a JSON file.
        targets: Files to make; those that are there are removed first.
        options: Further options.
        held: Descriptors of locks that Snakemake holds as well, for as long as it lives.

    Returns:
        The exit code.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for target in targets:
        (config.parent / target).unlink(missing_ok=True)
    command = [
        *(sys.executable, '-P', '-m', 'snakemake', '--snakefile', str(snakefile)),
        *('--directory', str(config.parent), '--configfile', str(config)),
        # The lock of a run that was killed would stay.
        *('--nolock', '--rerun-incomplete', '--rerun-triggers', 'mtime', '--scheduler', 'greedy'),
        *('--quiet', 'host', 'progress', 'rules', *options, '--', *targets),
    ]
    previous = signal.signal(signal.SIGTERM, stop)
    process = subprocess.Popen(command, pass_fds=held)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal has interrupted Snakemake and its commands too.
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        raise
    finally:
        if process.poll() is None:
            _end(process)
        signal.signal(signal.SIGTERM, previous)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Snakemake and what it started."""
    import psutil

    started = psutil.Process(process.pid).children(recursive=True)
    # On SIGTERM, Snakemake would wait until its commands are done.
    process.send_signal(signal.SIGINT)
    for one in started:
        with suppress(psutil.NoSuchProcess):
            one.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    for one in [process, *psutil.wait_procs(started, 1)[1]]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
