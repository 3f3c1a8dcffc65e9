"""Describe the stages of a recipe and keep the progress of each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tfinet_mm.errors import ManifestError, RecipeError
from tfinet_mm.utils.manifest import RunManifest, read_json

BEGUN = dict(done=False, started=0.0, seconds=0.0, note='', failure='')
"""State of a stage, beside ``made_from``: what it was begun with.

``started`` is 0 once it ended, ``seconds`` are those of all attempts, ``note`` says which
checkpoint of a training is the best, ``failure`` how the latest attempt failed.
"""


@dataclass(frozen=True)
class Stage:
    """One command of a recipe, with its inputs and outputs.

    Attributes:
        name: Kind and what it is of, like ``'train/pspnet_hrnet18'``.
        command: Words of the command; ``'python'`` stands for the recipe's Python.
        made_from: Options, and configs by their content. They must not change once the stage has
            begun. They don't depend on paths or on the number of processes.
        needs: Names of the stages whose results it reads.
        result: File or folder that exists once the stage is done. All but a preparation write it,
            and everything else, into ``checkpoints`` and a folder of the stage's name.
        test: ``group``, ``networks`` and ``tta`` of a row of the table.
    """

    name: str
    command: list[str]
    made_from: dict[str, Any]
    needs: list[str]
    result: str | None
    test: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """Return the first word of the name: a rule of the Snakefile."""
        return self.name.partition('/')[0]

    def report(self) -> dict[str, Any] | None:
        """Return the content of a result in JSON, None if it is missing, empty or truncated."""
        with suppress(ManifestError):
            return read_json(str(self.result))
        return None

    def has_result(self) -> bool:
        """Return whether the result exists and, if it is JSON, is complete."""
        if self.result is None or not self.result.endswith('.json'):
            return self.result is None or os.path.exists(self.result)
        return self.report() is not None


@dataclass
class Plan:
    """The stages of a recipe, each after those it needs.

    Attributes:
        work_dir: Folder of everything, like all paths here relative to ``folder``.
        folder: Folder in which the recipe was started and the commands run.
        seed: Seed of every training, None where each draws its own.
        threads: Words of the command ``env``: the user's numbers of threads.
        stages: The stages by name.
        ensembles: Content of the ensembles' config files by path.
    """

    work_dir: str
    folder: str
    seed: int | None = None
    threads: str = ''
    stages: dict[str, Stage] = field(default_factory=dict)
    ensembles: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str) -> Plan:
        """Read ``plan.json``, which is the configuration of the Snakefile as well."""
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        stages = {name: Stage(**stage) for name, stage in content.pop('stages').items()}
        return cls(**content, stages=stages)

    def log(self, name: str) -> Path:
        """Return the file with the output of a stage."""
        return Path(self.work_dir, 'logs', f'{name}.log')

    def manifest(self, name: str) -> RunManifest:
        """Return the file with the progress of a stage; ``done`` beside it is for Snakemake."""
        fix = (
            f'add --redo {name} to do it again (what it made goes to {self.work_dir}/replaced), '
            'or take another --work-dir'
        )
        folder = Path(self.work_dir, 'stages', name)
        return RunManifest(folder, 'state.json', f'results of {name}', fix)

    def state(self, name: str) -> dict[str, Any] | None:
        """Return the state of a stage, None if it has none that can be read."""
        with suppress(ManifestError):
            return self.manifest(name).read(BEGUN)
        return None

    def is_done(self, name: str) -> bool:
        """Return whether a stage needn't run."""
        state = self.state(name)
        return state is not None and state['done'] and self.stages[name].has_result()

    def matching(self, pattern: str) -> list[str]:
        """Return the stages whose names a pattern fits, in which ``*`` stands for any letters.

        Raises:
            RecipeError: There is none.
        """
        if not (found := [name for name in self.stages if fnmatchcase(name, pattern)]):
            raise RecipeError(
                f'no stage is called {pattern!r}; the stages are {", ".join(self.stages)}'
            )
        return found

    def with_readers(self, patterns: Iterable[str]) -> list[str]:
        """Return stages and all that read their results, also through others, in their order."""
        found = {name for pattern in patterns for name in self.matching(pattern)}
        for stage in self.stages.values():
            if found & {*stage.needs}:
                found.add(stage.name)
        return [name for name in self.stages if name in found]

    def check_unchanged(self, name: str) -> None:
        """Raise ManifestError if a stage was begun with other options or configs than now."""
        manifest = self.manifest(name)
        if found := manifest.read(['made_from', *BEGUN]):
            manifest.check(found['made_from'], self.stages[name].made_from)

    def set_aside(self, names: Iterable[str]) -> None:
        """Move the results of stages out of the way of the next run."""
        for name in names:
            number = 1
            while (target := Path(self.work_dir, 'replaced', name, str(number))).exists():
                number += 1
            stage, made = self.stages[name], [self.log(name)]
            if stage.kind != 'prepare':
                # What a preparation makes is the user's.
                made += [Path(self.work_dir, name), Path(str(stage.result))]
            for path in made:
                if os.path.lexists(path):
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.move(path, target / path.name)
                    print(f'    {path} moved to {target / path.name}', flush=True)
            self.manifest(name).path.unlink(missing_ok=True)
