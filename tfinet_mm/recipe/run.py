"""Run the stages of a plan: skip what is done, go on with what was cut short, stop at failures."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from tfinet_mm.errors import RecipeError, StageError
from tfinet_mm.recipe.best import choose_best
from tfinet_mm.recipe.plan import Plan
from tfinet_mm.recipe.process import alone_in, run_command, shown_command
from tfinet_mm.recipe.state import Stage, State, StateFiles
from tfinet_mm.utils.config.reading import read_config_file


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
        with alone_in(self.plan.work_dir) as inherited:
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
                self._run_stage(stage, state, inherited)
                self.redo.discard(stage.name)
                self._say(f'{head}: done, {_clock(time.monotonic() - begin)} so far\n')
                self.after_stage()

    def _run_stage(self, stage: Stage, state: State | None, inherited: Sequence[int]) -> None:
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
        self._say(f'    {shown_command(stage.command)}')
        try:
            run_command(stage.command, log, self.out, inherited)
        except StageError as error:
            raise StageError(f'{stage.name} {error}') from error
        note = ''
        if stage.best_of is not None and stage.result is not None:
            note = choose_best(stage.best_of, stage.result)
            self._say(f'    {note}')
        if stage.result is not None and not stage.result.exists():
            raise StageError(
                f'{stage.name} ended well but has not written {stage.result}; its command was\n'
                f'    {shown_command(stage.command)}\nits log is {log}'
            )
        seconds = state.seconds + time.time() - state.started
        state = dataclasses.replace(state, done=True, started=0.0, seconds=seconds, note=note)
        self.states.write(stage.name, state)

    def _log(self, stage: Stage) -> Path:
        return self.plan.work_dir / 'logs' / f'{stage.name}.log'

    def _is_done(self, stage: Stage, state: State | None) -> bool:
        return (
            state is not None
            and state.done
            and state.needs == self._runs(stage)
            and (stage.result is None or stage.result.exists())
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

    def _say(self, text: str) -> None:
        self.out.write(f'{text}\n'.encode())
        self.out.flush()


def _contents(stage: Stage) -> dict[str, str]:
    """A hash of each config of a stage, with all it inherits."""
    return {
        str(path): hashlib.sha256(
            json.dumps(read_config_file(path).to_dict(), sort_keys=True, default=str).encode()
        ).hexdigest()
        for path in stage.configs
    }


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
