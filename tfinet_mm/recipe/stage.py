"""Run one stage of a recipe: skip it if it is done, resume it if it was interrupted.

The Snakefile calls ``python -m tfinet_mm.recipe.stage PLAN STAGE``, on whatever machine, and adds
the output to the log of the stage.
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
from tfinet_mm.recipe.state import BEGUN, Plan
from tfinet_mm.recipe.table import write_results
from tfinet_mm.utils.command import run_command
from tfinet_mm.utils.files import whole_file


def run_stage(plan: Plan, name: str) -> None:
    """Run a stage to its end, from where it was interrupted.

    Raises:
        StageError: It failed.
        FolderInUseError: Another process runs it.
        ManifestError: It was begun with other options or configs.
    """
    stage, log = plan.stages[name], plan.log(name)
    head = f'[{[*plan.stages].index(name) + 1}/{len(plan.stages)}] {name}'
    with plan.manifest(name) as manifest:
        try:
            manifest.lock()
        except FolderInUseError as error:
            message = f'{name}: {error} (a command that has outlived its run counts)'
            raise FolderInUseError(message) from None
        plan.check_unchanged(name)
        state = plan.state(name) or dict(made_from=stage.made_from, **BEGUN)
        if not plan.is_done(name):
            if state['started'] and log.is_file():
                # The time of an attempt that was killed, by its last line of output.
                state['seconds'] += max(0.0, log.stat().st_mtime - state['started'])
            state |= dict(done=False, started=time.time(), failure='')
            manifest.write(state)
            line = shown_command(stage.command)
            print(f'{head}\n    # {time.strftime("%Y-%m-%d %H:%M:%S")}\n    {line}', flush=True)
            how = ''
            try:
                _run(stage.command, manifest.held)
                how = 'ended with exit code 0, but '
                if stage.kind in ('train', 'retrain'):
                    folder = Path(plan.work_dir, name)
                    state['note'] = link_best(folder, Path(str(stage.result)))
                    print(f'    {state["note"]}')
                if not stage.has_result():
                    raise StageError(f'{stage.result} is missing or truncated')
            except TFINetError as error:
                # Whoever started the recipe may be on another machine, and reads it in the state.
                state['failure'] = (
                    f'{name} {how}{error}; its command was\n    {line}\nits log is {log}\n'
                    'start the recipe again to resume'
                )
            state['seconds'] += time.time() - state['started']
            state |= dict(done=not state['failure'], started=0.0)
            manifest.write(state)
            if state['failure']:
                raise StageError(state['failure'])
        print(f'{head}: done in {timedelta(seconds=round(state["seconds"]))}\n', flush=True)
        write_results(plan)


def shown_command(command: Sequence[str]) -> str:
    """Return a command as a line to copy into a shell, ``'python'`` being this Python."""
    program, *words = command
    if program == 'python':
        found = shutil.which('python')
        program = 'python' if found and os.path.samefile(found, sys.executable) else sys.executable
    return shlex.join([program, *words])


def link_best(folder: Path, link: Path) -> str:
    """Give the best checkpoint of a training a name that doesn't depend on the epoch.

    That is the ``best_*.pth`` with the highest score: a run that was killed may leave more than
    one. Where the training validated nothing it is the newest.

    Args:
        folder: The training's folder.
        link: Path that becomes a symbolic link to the checkpoint, or a copy where there are no
            links.

    Returns:
        A sentence that names the checkpoint.

    Raises:
        StageError: The training has written no checkpoint.
    """
    found, text = sorted(folder.glob('best_*.pth')), 'the best checkpoint is'
    # One alone needs no torch, which takes seconds to import.
    if len(found) > 1:
        found = [max(found, key=_best_score)]
    elif not found:
        from tfinet_mm.engine.resume import newest_checkpoint

        # Trainings may leave the optimizer out.
        if (newest := newest_checkpoint(folder, needed=('state_dict',))) is None:
            raise StageError(f'the training has written no checkpoint to {folder}')
        found, text = [newest], 'nothing was validated; the newest checkpoint is'
    with whole_file(link) as partial:
        try:
            partial.symlink_to(os.path.relpath(found[0].resolve(), link.parent.resolve()))
        except OSError:
            shutil.copyfile(found[0], partial)
    return f'{text} {found[0]}'


def _best_score(path: Path) -> float:
    from tfinet_mm.checkpoints.addresses import read_checkpoint

    runtime = read_checkpoint(path).get('message_hub', {}).get('runtime_info', {})
    return float(runtime.get('best_score', float('-inf')))


def _run(command: Sequence[str], held: Sequence[int]) -> None:
    """Run a command, which holds the lock too; raise StageError if it fails."""
    program = sys.executable if command[0] == 'python' else command[0]
    environment = {'PYTHON': sys.executable, **os.environ, 'PYTHONUNBUFFERED': '1'}
    try:
        process = subprocess.Popen([program, *command[1:]], env=environment, pass_fds=held)
    except OSError as error:
        raise StageError(f'could not be started: {error}') from error
    try:
        process.wait()
    finally:
        # After Ctrl-C too: the lock goes with this process, and the command may still write.
        code = process.wait()
    if code:
        how = f'exit code {code}' if code > 0 else f'signal {signal.Signals(-code).name}'
        raise StageError(f'failed with {how}')


def main() -> None:
    """Run the stage that the command line names."""
    plan = Plan.load(sys.argv[1])
    os.chdir(plan.folder)
    run_stage(plan, sys.argv[2])


if __name__ == '__main__':
    run_command(main)
