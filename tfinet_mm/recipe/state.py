"""What is known about the stages of a recipe: one file each, written whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tfinet_mm.utils.files import whole_file


@dataclass(frozen=True)
class Stage:
    """One command of a recipe and what surrounds it.

    Attributes:
        name: Kind and what it is of, like ``'train/pspnet_hrnet18'``.
        command: What runs, in words; ``'python'`` stands for the recipe's Python.
        identity: The same as it would be in a single process: what tells
            whether a stage was done with another command.
        needs: Names of the stages whose results it reads.
        result: File or folder that is there when it is done.
        outputs: Files and folders it writes, moved away before it is done anew.
        configs: Configs it reads; another content is another command.
        best_of: Folder of a training, whose best checkpoint becomes ``result``.
    """

    name: str
    command: tuple[str, ...]
    identity: tuple[str, ...]
    needs: tuple[str, ...] = ()
    result: Path | None = None
    outputs: tuple[Path, ...] = ()
    configs: tuple[Path, ...] = ()
    best_of: Path | None = None


@dataclass(frozen=True)
class State:
    """How far a stage has come.

    Attributes:
        identity: Command it was started with, see :class:`Stage`.
        configs: Hash of each config's content by path.
        needs: The run of each stage it read from.
        run: A name of this run of the stage, new whenever it starts anew.
        done: Whether it ended well.
        started: When the latest attempt began, in seconds since 1970.
        seconds: Time of all attempts that have ended.
        note: Which checkpoint of a training is the best.
    """

    identity: tuple[str, ...]
    configs: dict[str, str]
    needs: dict[str, str]
    run: str
    done: bool = False
    started: float = 0.0
    seconds: float = 0.0
    note: str = ''

    def changes(self, stage: Stage, configs: Mapping[str, str]) -> list[str]:
        """What differs between what was started and what is asked for now, in words."""
        changes = []
        if self.identity != stage.identity:
            changes.append(f'was: {" ".join(self.identity)}\n    now: {" ".join(stage.identity)}')
        changes += [
            f'the content of {path} has changed'
            for path, content in configs.items()
            if self.configs.get(path, content) != content
        ]
        return changes


class StateFiles:
    """The states of a recipe's stages in a folder.

    Args:
        folder: Where they are kept, ``NAME.json`` a stage.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, name: str) -> Path:
        return self.folder / f'{name}.json'

    def read(self, name: str) -> State | None:
        """The state of a stage, None if it was never started."""
        path = self._path(name)
        if not path.is_file():
            return None
        content = json.loads(path.read_text(encoding='utf-8'))
        return State(**content | {'identity': tuple(content['identity'])})

    def write(self, name: str, state: State) -> None:
        """Keep the state of a stage."""
        with whole_file(self._path(name)) as partial:
            partial.write_text(json.dumps(asdict(state), indent=1), encoding='utf-8')

    def forget(self, name: str) -> None:
        """Make a stage one that was never started."""
        self._path(name).unlink(missing_ok=True)
