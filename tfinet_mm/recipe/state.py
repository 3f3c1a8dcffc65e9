"""The stages of a recipe, and how far each is."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tfinet_mm.errors import StageError
from tfinet_mm.utils.files import whole_file

if sys.platform != 'win32':
    import fcntl


@dataclass(frozen=True)
class Stage:
    """One command of a recipe and what surrounds it.

    Attributes:
        name: Kind and what it is of, like ``'train/pspnet_hrnet18'``.
        command: What runs, in words; ``'python'`` stands for the recipe's Python.
        identity: The same whatever folders are called and however many processes
            it has: what tells whether a stage was done with another command.
        needs: Names of the stages whose results it reads.
        result: File or folder that is there when it is done.
        configs: Hash of the content of each config it reads.
        outputs: What it writes, moved away before it is done again; the folder first.
        test: ``group``, ``networks`` and ``tta`` of a row of the table.
    """

    name: str
    command: list[str]
    identity: list[str]
    needs: list[str]
    result: str | None
    configs: dict[str, str]
    outputs: list[str] = field(default_factory=list)
    test: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """Return the first word of the name: a rule of the Snakefile."""
        return self.name.partition('/')[0]

    def has_result(self) -> bool:
        """Return whether the result is there, and whole where it is JSON."""
        if self.result is None or not self.result.endswith('.json'):
            return self.result is None or os.path.exists(self.result)
        return read_json(self.result) is not None


@dataclass(frozen=True)
class State:
    """How far a stage has come: what it was started with, and when; ``started`` is 0 once it ended.

    ``seconds`` are those of all attempts, ``note`` says which checkpoint of a training is the
    best, ``failure`` how the latest attempt failed.
    """

    identity: list[str]
    configs: dict[str, str]
    done: bool = False
    started: float = 0.0
    seconds: float = 0.0
    note: str = ''
    failure: str = ''


@dataclass
class Plan:
    """The stages of a recipe, each after those it needs.

    Attributes:
        work_dir: Folder of everything, like all paths here relative to ``folder``.
        folder: Where the recipe was started, and the commands run.
        seed: Seed of every training, None where each draws its own.
        environment: Variables that Snakemake sets, as the user has them.
        stages: The stages by name.
        ensembles: Content of the ensembles' config files by path.
    """

    work_dir: str
    folder: str
    seed: int | None = None
    environment: dict[str, str | None] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    ensembles: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str) -> Plan:
        """Read ``plan.json``, which is the configuration of the Snakefile as well."""
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        stages = {name: Stage(**stage) for name, stage in content.pop('stages').items()}
        return cls(**content, stages=stages)

    def path(self, name: str, suffix: str) -> Path:
        """Return where something of a stage is kept; ``.done`` is what Snakemake looks at."""
        return Path(self.work_dir, 'logs' if suffix == '.log' else 'stages', name + suffix)

    def state(self, name: str) -> State | None:
        """Return the state of a stage, None if it has none that can be read."""
        with suppress(OSError, ValueError, TypeError):
            return State(**json.loads(self.path(name, '.json').read_bytes()))
        return None

    def is_done(self, name: str) -> bool:
        """Return whether a stage needn't run."""
        state = self.state(name)
        return state is not None and state.done and self.stages[name].has_result()

    def with_readers(self, names: Iterable[str]) -> list[str]:
        """Return stages and all that read their results, also through others, in their order."""
        found = set(names)
        for stage in self.stages.values():
            if found & {*stage.needs}:
                found.add(stage.name)
        return [name for name in self.stages if name in found]

    def check_unchanged(self, name: str) -> None:
        """Raise StageError if a stage was started with something else than is asked for now."""
        stage, state, path = self.stages[name], self.state(name), self.path(name, '.json')
        again = f'add --redo {name} to do it again (what it made goes to {self.work_dir}/replaced)'
        if state is None and path.is_file():
            raise StageError(
                f'{path}, which says how far {name} is, is empty or cut, as a full disk leaves it, '
                f'or of another version; {again}'
            )
        if state is None or (state.identity, state.configs) == (stage.identity, stage.configs):
            return
        lines = [f'was: {" ".join(state.identity)}', f'now: {" ".join(stage.identity)}']
        lines = lines if state.identity != stage.identity else []
        lines += [
            f'the content of {config} has changed'
            for config, content in stage.configs.items()
            if state.configs.get(config) != content
        ]
        raise StageError(
            f'{name} was {"done" if state.done else "begun"} with something else than what is '
            'asked for now:\n    ' + '\n    '.join(lines) + f'\n{again}, or take another --work-dir'
        )

    def set_aside(self, names: Iterable[str]) -> None:
        """Move what stages made, and what was made from it, out of the way of the next run."""
        for name in self.with_readers(names):
            number = 1
            while (target := Path(self.work_dir, 'replaced', name, str(number))).exists():
                number += 1
            for path in (*map(Path, self.stages[name].outputs), self.path(name, '.log')):
                if os.path.lexists(path):
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.move(path, target / path.name)
                    print(f'    {path} moved to {target / path.name}', flush=True)
            self.path(name, '.json').unlink(missing_ok=True)


def read_json(path: str) -> Any:
    """Return the content of a JSON file, None if it is missing, empty or cut."""
    with suppress(OSError, ValueError):
        return json.loads(Path(path).read_bytes())
    return None


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, of a dataclass if it is one."""
    with whole_file(path) as partial:
        content = content if isinstance(content, dict) else asdict(content)
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding='utf-8')


@contextmanager
def alone(lock: Path, what: str) -> Iterator[list[int]]:
    """Hold a lock for as long as this process, or one that inherits the descriptor, lives.

    Raises:
        StageError: Another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open('w') as file:
        if sys.platform == 'win32':
            yield []
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(
                f'another run of {what}, or a command that it started; wait for it, or stop it'
            ) from None
        yield [file.fileno()]
