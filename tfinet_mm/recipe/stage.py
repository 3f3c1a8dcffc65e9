"""Run one stage of a recipe: skip it if it is done, resume it if it was cut short.

The Snakefile calls ``python -m tfinet_mm.recipe.stage PLAN STAGE``, on whatever machine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from tfinet_mm.errors import FolderInUseError, StageError, TFINetError
from tfinet_mm.recipe.best import choose_best
from tfinet_mm.recipe.state import BEGUN, Plan
from tfinet_mm.recipe.table import write_results
from tfinet_mm.utils.files import whole_file


def run_stage(plan: Plan, name: str) -> None:
    """Run a stage to its end, from where it was cut short.

    Raises:
        StageError: It failed.
        FolderInUseError: It is at work.
        ManifestError: It was begun with something else.
    """
    stage, log = plan.stages[name], plan.log(name)
    head = f'[{[*plan.stages].index(name) + 1}/{len(plan.stages)}] {name}'
    with plan.manifest(name) as manifest:
        manifest.lock()
        plan.check_unchanged(name)
        state = plan.state(name) or dict(made_from=stage.made_from, **BEGUN)
        if not plan.is_done(name):
            if state['started'] and log.is_file():
                # The time of an attempt that was killed, by its last line of output.
                state['seconds'] += max(0.0, log.stat().st_mtime - state['started'])
            state |= dict(done=False, started=time.time(), failure='')
            manifest.write(state)
            line = shown_command(stage.command)
            print(f'{head}\n    {line}', flush=True)
            failure = _run(plan, name, manifest.held)
            if not failure and stage.kind in ('train', 'retrain') and stage.result is not None:
                try:
                    state['note'] = choose_best(Path(stage.outputs[0]), Path(stage.result))
                    print(f'    {state["note"]}')
                except TFINetError as error:
                    failure = f'ended well, but {error}'
            if not failure and not stage.has_result():
                failure = f'ended well but has not written {stage.result} whole'
            if failure:
                failure = (
                    f'{name} {failure}; its command was\n    {line}\nits log is {log}\n'
                    'start the recipe again to resume'
                )
            state['seconds'] += time.time() - state['started']
            state |= dict(done=not failure, started=0.0, failure=failure)
            manifest.write(state)
            if failure:
                raise StageError(failure)
        print(f'{head}: done in {timedelta(seconds=round(state["seconds"]))}\n', flush=True)
        with whole_file(manifest.folder / 'done') as partial:
            partial.touch()
        write_results(plan)


def shown_command(command: Sequence[str]) -> str:
    """Return a command as a line to copy into a shell, ``'python'`` being this Python."""
    program, *words = command
    if program == 'python':
        found = shutil.which('python')
        program = 'python' if found and os.path.samefile(found, sys.executable) else sys.executable
    return shlex.join([program, *words])


def _run(plan: Plan, name: str, held: Sequence[int]) -> str:
    """Run a stage's command, print and log its output; return how it failed, or nothing."""
    command, log = plan.stages[name].command, plan.log(name)
    program = sys.executable if command[0] == 'python' else command[0]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('ab') as file:
        when = time.strftime('%Y-%m-%d %H:%M:%S')
        file.write(f'\n# {when} {shown_command(command)}\n'.encode())
        file.flush()
        try:
            process = subprocess.Popen(
                [program, *command[1:]],
                env={'PYTHON': sys.executable, **os.environ, 'PYTHONUNBUFFERED': '1'},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=held,
            )
        except OSError as error:
            return f'could not be started: {error}'
        try:
            while process.stdout is not None and (chunk := os.read(process.stdout.fileno(), 65536)):
                for target in (file, sys.stdout.buffer):
                    target.write(chunk)
                    target.flush()
        finally:
            # The lock goes with this process, and the command may still write.
            code = process.wait()
    if code >= 0:
        return f'failed with exit code {code}' if code else ''
    return f'failed with signal {signal.Signals(-code).name}'


def main() -> int:
    """Run the stage that the command line names; return the exit code."""
    plan, name = Plan.load(sys.argv[1]), sys.argv[2]
    os.chdir(plan.folder)
    try:
        run_stage(plan, name)
    except FolderInUseError as error:
        print(f'{name}: {error} (a command that has outlived its run counts)', file=sys.stderr)
        return 1
    except TFINetError as error:
        # Whoever started the recipe may be on another machine, and reads it from the state.
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
