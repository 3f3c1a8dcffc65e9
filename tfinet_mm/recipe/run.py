"""Have Snakemake run the stages of a plan that are not done."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import indent
from types import FrameType

from tfinet_mm.errors import MissingExtraError, RecipeError, StageError
from tfinet_mm.recipe.stage import shown_command
from tfinet_mm.recipe.state import Plan, alone, write_json
from tfinet_mm.recipe.table import collect_results, format_results, write_results
from tfinet_mm.utils.files import write_whole

SNAKEFILE = Path(__file__).with_name('Snakefile')
STOP_S = 20
"""Seconds that Snakemake gets to end what it started, jobs of a cluster too."""


def choose_stages(plan: Plan, only: Sequence[str] = (), until: str | None = None) -> list[str]:
    """Return the stages that a command line asks for, in their order.

    Raises:
        RecipeError: A name, in which ``*`` stands for any letters, fits no stage.
    """
    stages = [*plan.stages]
    chosen = {name for pattern in only for name in matching_stages(plan, pattern)}
    if until is not None:
        stages = stages[: stages.index(matching_stages(plan, until)[-1]) + 1]
    if not (found := [name for name in stages if name in chosen or not only]):
        raise RecipeError(f'no stage is among {list(only)} and not after {until}')
    return found


def matching_stages(plan: Plan, pattern: str) -> list[str]:
    """Return the names that a pattern fits, at least one."""
    if not (found := [name for name in plan.stages if fnmatchcase(name, pattern)]):
        raise RecipeError(
            f'no stage is called {pattern!r}; the stages are {", ".join(plan.stages)}'
        )
    return found


def describe(plan: Plan, stages: Sequence[str], redo: Sequence[str] = ()) -> None:
    """Print the stages, how far each is, and the commands that would run."""
    again = plan.with_readers(name for pattern in redo for name in matching_stages(plan, pattern))
    for number, name in enumerate(stages, 1):
        text = shown_command(plan.stages[name].command)
        how = 'done' if plan.is_done(name) else 'begun' if plan.state(name) else 'to do'
        try:
            if name in again:
                how = 'to be done again'
            else:
                plan.check_unchanged(name)
        except StageError as error:
            how, text = 'refused', str(error)
        print(f'[{number}/{len(stages)}] {name} ({how})')
        if how != 'done':
            print(indent(text, '    '))
    print(f'\n{format_results(collect_results(plan))}')


def run_recipe(
    plan: Plan,
    stages: Sequence[str],
    redo: Sequence[str] = (),
    options: Sequence[str] = ('--cores', '1'),
) -> None:
    """Run stages of a plan, and print what is left and the table.

    Args:
        plan: The plan.
        stages: Names of stages.
        redo: Patterns of stages to do again, with all that read their results.
        options: Further options of Snakemake.

    Raises:
        MissingExtraError: Snakemake is not installed.
        RecipeError: A name in ``redo`` fits no stage.
        StageError: A stage failed, was done or begun with another command,
            or needs one that isn't done; or another run is at work.
    """
    again = plan.with_readers(name for pattern in redo for name in matching_stages(plan, pattern))
    left = [name for name in stages if name in again or not plan.is_done(name)]
    failures = []
    for name in stages:
        # Before hours of training are spent: what would stop a later stage.
        if name not in again:
            plan.check_unchanged(name)
    if left:
        if importlib.util.find_spec('snakemake') is None:
            raise MissingExtraError(
                'a recipe is run by Snakemake, which is not installed: '
                'pip install "tfinet-mm[recipe]"'
            )
        lock = Path(plan.work_dir, '.lock')
        with alone(lock, f'a recipe is at work in {plan.work_dir}') as held:
            for name in left:
                if missing := [
                    need
                    for need in plan.stages[name].needs
                    if need not in stages and (need in again or not plan.is_done(need))
                ]:
                    raise StageError(
                        f'{name} needs {", ".join(missing)}, which must be done first; leave out '
                        '--only, or add them to it'
                    )
            plan.set_aside(again)
            if code := _run_snakemake(plan, left, options, held):
                states = [plan.state(name) for name in left]
                failures = [state.failure for state in states if state and state.failure]
                failures = failures or [f'Snakemake ended with exit code {code}, see above']
        left = [name for name in stages if not plan.is_done(name)]
    names = ', '.join(f'{name} (begun)' if plan.state(name) else name for name in left)
    print(f'Left: {len(left)} of {len(stages)} stages{": " if left else ""}{names}\n')
    print(format_results(collect_results(plan)), flush=True)
    # The folder of a recipe that is done may be read-only.
    with suppress(OSError):
        write_results(plan)
    if failures:
        raise StageError('\n'.join(failures))


def _run_snakemake(
    plan: Plan, left: Sequence[str], options: Sequence[str], held: Sequence[int]
) -> int:
    """Run Snakemake and return its exit code; end all it started when this process is stopped."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for path, content in plan.ensembles.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.encode())
    write_json(Path(plan.work_dir, 'plan.json'), plan)
    for name in left:
        plan.path(name, '.done').unlink(missing_ok=True)
    command = [
        *(sys.executable, '-P', '-m', 'snakemake', '--snakefile', str(SNAKEFILE)),
        *('--directory', plan.work_dir, '--configfile', str(Path(plan.work_dir, 'plan.json'))),
        # The lock of a run that was killed would stay.
        *('--nolock', '--rerun-incomplete', '--rerun-triggers', 'mtime', '--scheduler', 'greedy'),
        *('--quiet', 'host', 'progress', 'rules', *options),
        *('--', *(f'stages/{name}.done' for name in left)),
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
        signal.signal(signal.SIGTERM, previous)
