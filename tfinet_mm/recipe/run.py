"""Run the stages of a plan: skip what is done, go on with what was cut short, stop at failures."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from mmengine.config import Config

from tfinet_mm.errors import RecipeError, StageError
from tfinet_mm.recipe.best import choose_best
from tfinet_mm.recipe.plan import Plan
from tfinet_mm.recipe.state import Stage, State, StateFiles

if sys.platform != 'win32':
    import fcntl


def choose_stages(plan: Plan, only: Sequence[str] = (), until: str | None = None) -> list[Stage]:
    """The stages of a plan that a command line asks for.

    Args:
        plan: The plan.
        only: Names of stages, ``*`` standing for any letters; empty for all.
        until: Name of the last stage, likewise; None for all.

    Returns:
        The stages in their order.

    Raises:
        RecipeError: A name fits no stage.
    """
    names = [stage.name for stage in plan.stages]
    for pattern in (*only, *([] if until is None else [until])):
        matching_stages(names, pattern)
    stages = plan.stages
    if until is not None:
        last = matching_stages(names, until)[-1]
        stages = stages[: names.index(last) + 1]
    if only:
        stages = [s for s in stages if any(fnmatchcase(s.name, pattern) for pattern in only)]
    if not stages:
        raise RecipeError(f'no stage is among {list(only)} and not after {until}')
    return stages


def matching_stages(names: Sequence[str], pattern: str) -> list[str]:
    """The names that a pattern fits.

    Raises:
        RecipeError: There is none; the message lists all.
    """
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise RecipeError(f'no stage is called {pattern!r}; the stages are {", ".join(names)}')
    return found


class RecipeRunner:
    """Runs stages of a plan one after the other.

    What is known about a stage is kept in ``WORK_DIR/stages/NAME.json``, its
    output goes to the terminal and to ``WORK_DIR/logs/NAME.log``.

    Args:
        plan: The plan.
        redo: Names of stages to do anew, ``*`` standing for any letters. What
            they made before is moved to ``WORK_DIR/replaced``.
        after_stage: Called after each stage that is done.
        out: Where the output of the stages goes besides the logs, the
            standard output by default.

    Raises:
        RecipeError: A name in ``redo`` fits no stage.
    """

    def __init__(
        self,
        plan: Plan,
        redo: Sequence[str] = (),
        after_stage: Callable[[], object] = lambda: None,
        out: BinaryIO | None = None,
    ) -> None:
        self.plan = plan
        self.states = StateFiles(plan.work_dir / 'stages')
        self.after_stage = after_stage
        self.out = sys.stdout.buffer if out is None else out
        names = [stage.name for stage in plan.stages]
        self.redo = {name for pattern in redo for name in matching_stages(names, pattern)}

    def describe(self, stages: Sequence[Stage]) -> None:
        """Print the stages, how far each is, and their commands, and run none."""
        for number, stage in enumerate(stages, 1):
            state = self.states.read(stage.name)
            how = 'done' if self._is_done(stage, state) else 'to do' if state is None else 'begun'
            if stage.name in self.redo or (state is not None and self._changes(stage, state)):
                how += ', to be done anew' if stage.name in self.redo else ', changed since'
            self._say(f'[{number}/{len(stages)}] {stage.name} ({how})')
            self._say(f'    {shown_command(stage.command)}')

    def run(self, stages: Sequence[Stage]) -> None:
        """Run stages in their order.

        Args:
            stages: Stages of the plan.

        Raises:
            StageError: A stage failed, was done or begun with another command,
                or needs one that isn't done; or another run is at work.
        """
        begin = time.monotonic()
        with self._alone():
            # Before hours of training are spent: what would stop a later stage.
            for stage in stages:
                self._check_unchanged(stage)
            self.plan.write_ensembles()
            for number, stage in enumerate(stages, 1):
                head = f'[{number}/{len(stages)}] {stage.name}'
                state = self.states.read(stage.name)
                if stage.name not in self.redo and state and self._is_done(stage, state):
                    self._say(f'{head}: done before, in {_clock(state.seconds)}')
                    continue
                self._check_needs(stage)
                self._say(f'{head} ({_clock(time.monotonic() - begin)} so far)')
                self._run_stage(stage, state)
                self.redo.discard(stage.name)
                self._say(f'{head}: done, {_clock(time.monotonic() - begin)} so far\n')
                self.after_stage()

    def _run_stage(self, stage: Stage, state: State | None) -> None:
        if state is not None and not self._continues(stage, state):
            self._set_aside(stage)
            state = None
        if state is None:
            state = State(stage.identity, _contents(stage), self._runs(stage), uuid.uuid4().hex)
        log = self._log(stage)
        if state.started and log.is_file():
            # The time of an attempt that was killed, by its last line of output.
            spent = max(0.0, log.stat().st_mtime - state.started)
            state = dataclasses.replace(state, seconds=state.seconds + spent)
        state = dataclasses.replace(state, done=False, started=time.time())
        self.states.write(stage.name, state)
        self._execute(stage, log)
        note = ''
        if stage.best_of is not None and stage.result is not None:
            note = choose_best(stage.best_of, stage.result)
            self._say(f'    {note}')
        if stage.result is not None and not stage.result.is_file():
            raise StageError(
                f'{stage.name} ended well but has not written {stage.result}; its command was\n'
                f'    {shown_command(stage.command)}\nits log is {log}'
            )
        seconds = state.seconds + time.time() - state.started
        state = dataclasses.replace(state, done=True, started=0.0, seconds=seconds, note=note)
        self.states.write(stage.name, state)

    def _execute(self, stage: Stage, log: Path) -> None:
        """Run the command, its output going to the terminal and the log as it comes."""
        line = shown_command(stage.command)
        self._say(f'    {line}')
        log.parent.mkdir(parents=True, exist_ok=True)
        words = [sys.executable if stage.command[0] == 'python' else stage.command[0]]
        environment = {'PYTHON': sys.executable, **os.environ, 'PYTHONUNBUFFERED': '1'}
        with log.open('ab') as file:
            file.write(f'\n# {time.strftime("%Y-%m-%d %H:%M:%S")} {line}\n'.encode())
            file.flush()
            try:
                process = subprocess.Popen(
                    [*words, *stage.command[1:]],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=self._inherited,
                )
            except OSError as error:
                raise StageError(
                    f'{stage.name} could not be started: {error}; its command is\n    {line}'
                ) from error
            with _ends_with_us(process):
                self._copy(process, file)
        if process.returncode:
            code = process.returncode
            how = f'exit code {code}' if code > 0 else f'signal {signal.Signals(-code).name}'
            raise StageError(
                f'{stage.name} failed with {how}; its command was\n    {line}\n'
                f'its log is {log}\nstart the recipe again to go on from here'
            )

    def _copy(self, process: subprocess.Popen[bytes], file: BinaryIO) -> None:
        if process.stdout is not None:
            while chunk := os.read(process.stdout.fileno(), 65536):
                for target in (file, self.out):
                    target.write(chunk)
                    target.flush()
        process.wait()

    def _log(self, stage: Stage) -> Path:
        return self.plan.work_dir / 'logs' / f'{stage.name}.log'

    def _is_done(self, stage: Stage, state: State | None) -> bool:
        return (
            state is not None
            and state.done
            and state.needs == self._runs(stage)
            and (stage.result is None or stage.result.is_file())
        )

    def _continues(self, stage: Stage, state: State) -> bool:
        """Whether what a stage has made so far can stay."""
        return stage.name not in self.redo and state.needs == self._runs(stage)

    def _runs(self, stage: Stage) -> dict[str, str]:
        """The runs of the stages that one reads from, as they are now."""
        states = {name: self.states.read(name) for name in stage.needs}
        return {name: state.run if state else '' for name, state in states.items()}

    def _changes(self, stage: Stage, state: State) -> list[str]:
        return state.changes(stage, _contents(stage))

    def _check_unchanged(self, stage: Stage) -> None:
        state = self.states.read(stage.name)
        if state is None or stage.name in self.redo:
            return
        if changes := self._changes(stage, state):
            raise StageError(
                f'{stage.name} was {"done" if state.done else "begun"} with something else than '
                'what is asked for now:\n    '
                + '\n    '.join(changes)
                + f'\nadd --redo {stage.name} to do it anew (what it made goes to '
                f'{self.plan.work_dir / "replaced"}), or take another --work-dir'
            )

    def _check_needs(self, stage: Stage) -> None:
        by_name = {one.name: one for one in self.plan.stages}
        missing = [
            name
            for name in stage.needs
            if name in self.redo or not self._is_done(by_name[name], self.states.read(name))
        ]
        if missing:
            raise StageError(
                f'{stage.name} needs {", ".join(missing)}, which must be done first; leave out '
                '--only, or add them to it'
            )

    def _set_aside(self, stage: Stage) -> None:
        """Move what a stage made out of the way of its next run."""
        folder = self.plan.work_dir / 'replaced' / stage.name
        number = 1
        while (target := folder / str(number)).exists():
            number += 1
        for path in (*stage.outputs, self._log(stage)):
            if path.exists() or path.is_symlink():
                target.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target / path.name)
                self._say(f'    {path} moved to {target / path.name}')
        self.states.forget(stage.name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others out of the folder, as long as any command of this run lives."""
        self._inherited: tuple[int, ...] = ()
        self.plan.work_dir.mkdir(parents=True, exist_ok=True)
        if sys.platform == 'win32':
            yield
            return
        with (self.plan.work_dir / '.lock').open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StageError(
                    f'another run of a recipe is at work in {self.plan.work_dir}, or a command '
                    'that it started; wait for it, or stop it'
                ) from None
            # A lock is held as long as any process has the file open.
            self._inherited = (lock.fileno(),)
            yield

    def _say(self, text: str) -> None:
        self.out.write(f'{text}\n'.encode())
        self.out.flush()


def shown_command(command: Sequence[str]) -> str:
    """A command as a line to copy into a shell."""
    words = list(command)
    if words[0] == 'python':
        found = shutil.which('python')
        words[0] = 'python' if found and os.path.samefile(found, sys.executable) else sys.executable
    return shlex.join(words)


@contextmanager
def _ends_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a process when this one is stopped or fails."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        signal.signal(signal.SIGTERM, previous)


def _contents(stage: Stage) -> dict[str, str]:
    """A hash of each config of a stage, with all it inherits."""
    return {
        str(path): hashlib.sha256(
            json.dumps(Config.fromfile(str(path)).to_dict(), sort_keys=True, default=str).encode()
        ).hexdigest()
        for path in stage.configs
    }


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
