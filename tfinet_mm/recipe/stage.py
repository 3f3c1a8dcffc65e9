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
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tfinet_mm.errors import StageError, TFINetError
from tfinet_mm.recipe.best import choose_best
from tfinet_mm.recipe.state import Plan, Stage, State, alone, write_json
from tfinet_mm.recipe.table import write_results
from tfinet_mm.utils.files import whole_file


def run_stage(plan: Plan, name: str) -> None:
    """Run a stage to its end, from where it was cut short.

    Raises:
        StageError: It failed, was begun with another command, or is at work.
    """
    stage, log, kept = plan.stages[name], plan.path(name, '.log'), plan.path(name, '.json')
    head = f'[{[*plan.stages].index(name) + 1}/{len(plan.stages)}] {name}'
    with alone(plan.path(name, '.lock'), f'{name} is at work in {plan.work_dir}') as held:
        plan.check_unchanged(name)
        state = plan.state(name) or State(stage.identity, stage.configs)
        if not plan.is_done(name):
            if state.started and log.is_file():
                # The time of an attempt that was killed, by its last line of output.
                spent = max(0.0, log.stat().st_mtime - state.started)
                state = replace(state, seconds=state.seconds + spent)
            state = replace(state, done=False, started=time.time(), failure='')
            write_json(kept, state)
            line = shown_command(stage.command)
            print(f'{head}\n    {line}', flush=True)
            note, failure = '', _run(stage, log, held, plan.environment)
            if not failure and stage.kind in ('train', 'retrain') and stage.result is not None:
                try:
                    note = choose_best(Path(stage.outputs[0]), Path(stage.result))
                    print(f'    {note}')
                except TFINetError as error:
                    failure = f'ended well, but {error}'
            if not failure and not stage.has_result():
                failure = f'ended well but has not written {stage.result} whole'
            seconds = state.seconds + time.time() - state.started
            if failure:
                failure = (
                    f'{name} {failure}; its command was\n    {line}\nits log is {log}\n'
                    'start the recipe again to resume'
                )
            done = not failure
            state = replace(
                state, done=done, started=0.0, seconds=seconds, note=note, failure=failure
            )
            write_json(kept, state)
            if failure:
                raise StageError(failure)
        print(f'{head}: done in {timedelta(seconds=round(state.seconds))}\n', flush=True)
        with whole_file(plan.path(name, '.done')) as partial:
            partial.touch()
        write_results(plan)


def shown_command(command: Sequence[str]) -> str:
    """Return a command as a line to copy into a shell, ``'python'`` being this Python."""
    program, *words = command
    if program == 'python':
        found = shutil.which('python')
        program = 'python' if found and os.path.samefile(found, sys.executable) else sys.executable
    return shlex.join([program, *words])


def _run(stage: Stage, log: Path, held: Sequence[int], environment: dict[str, str | None]) -> str:
    """Run a stage's command, print and log its output; return how it failed, or nothing."""
    program = sys.executable if stage.command[0] == 'python' else stage.command[0]
    variables = {'PYTHON': sys.executable, **os.environ, 'PYTHONUNBUFFERED': '1', **environment}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('ab') as file:
        when = time.strftime('%Y-%m-%d %H:%M:%S')
        file.write(f'\n# {when} {shown_command(stage.command)}\n'.encode())
        file.flush()
        try:
            process = subprocess.Popen(
                [program, *stage.command[1:]],
                env={name: value for name, value in variables.items() if value is not None},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=held,
            )
        except OSError as error:
            return f'could not be started: {error}'
        while process.stdout is not None and (chunk := os.read(process.stdout.fileno(), 65536)):
            for target in (file, sys.stdout.buffer):
                target.write(chunk)
                target.flush()
    if (code := process.wait()) >= 0:
        return f'failed with exit code {code}' if code else ''
    return f'failed with signal {signal.Signals(-code).name}'


def main() -> int:
    """Run the stage that the command line names; return the exit code."""
    plan = Plan.load(sys.argv[1])
    os.chdir(plan.folder)
    try:
        run_stage(plan, sys.argv[2])
    except StageError as error:
        # Whoever started the recipe may be on another machine, and reads it from the state.
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
