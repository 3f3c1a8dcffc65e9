"""Turn a recipe into stages: ordinary commands, and the files between them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any

from mmengine.config import Config

import tfinet_mm
from tfinet_mm.errors import RecipeError
from tfinet_mm.recipe.config import Network, Preparation, PseudoLabels, Recipe
from tfinet_mm.recipe.state import Plan, Stage
from tfinet_mm.utils.class_names import class_name
from tfinet_mm.utils.config.reading import read_config_file

TOOLS = Path(tfinet_mm.__file__).resolve().parents[1] / 'tools'
LAUNCHERS = ('none', 'pytorch')
LIBRARIES = ('OMP', 'GOTO', 'OPENBLAS', 'MKL', 'NUMEXPR')

Word = str | tuple[str | None, str | None]
"""A word of a command; of two, the second belongs to its identity (see Stage), in its place."""


@dataclass(frozen=True)
class Launch:
    """How the tools are started: in one process, or in ``gpus`` through ``tools/dist_*.sh``."""

    launcher: str = 'none'
    gpus: int = 1

    def __post_init__(self) -> None:
        """Raise RecipeError where the launcher is unknown, or the number doesn't go with it."""
        if self.launcher not in LAUNCHERS:
            raise RecipeError(f'the launcher must be one of {LAUNCHERS}, got {self.launcher!r}')
        if self.gpus < 1 or (self.launcher == 'none' and self.gpus > 1):
            raise RecipeError(
                f'{self.gpus} GPUs with the launcher {self.launcher!r}: use --launcher pytorch '
                'for more than one'
            )


def make_plan(
    recipe: Recipe, work_dir: str | os.PathLike[str], launch: Launch, seed: int | None = None
) -> Plan:
    """Plan a recipe; nothing is written or started.

    Raises:
        RecipeError: A network to train again reads no pseudo labels, or there
            is a seed and one of the recipe's own.
    """
    return _Planner(recipe, shown_path(work_dir), launch, seed).plan


class _Planner:
    def __init__(self, recipe: Recipe, work_dir: str, launch: Launch, seed: int | None) -> None:
        self.recipe, self.launch = recipe, launch
        threads = [f'{library}_NUM_THREADS' for library in LIBRARIES]
        environment = {name: os.environ.get(name) for name in [*threads, 'VECLIB_MAXIMUM_THREADS']}
        self.plan = Plan(work_dir, os.getcwd(), seed, environment)
        self.contents: dict[Path, str] = {}
        before = [self._prepare(one) for one in recipe.prepare]
        trained = [self._train(one, before, 'members') for one in recipe.members]
        self._test('members_ensemble', 'members', recipe.members, trained)
        for one in recipe.others:
            self._train(one, before, 'others')
        labelled = {one.name: self._label(one, trained) for one in recipe.pseudo_labels}
        again = {
            one: self._train(one, [labelled[one.labels]], 'retrained') for one in recipe.retrain
        }
        if final := [one for one in recipe.retrain if one.ensemble]:
            self._test('retrained_ensemble', 'retrained', final, [again[one] for one in final])

    def _add(
        self,
        name: str,
        command: Sequence[Word],
        needs: Sequence[str],
        result: str | None,
        networks: Sequence[Network] = (),
        outputs: Sequence[str] = (),
        test: dict[str, Any] | None = None,
    ) -> str:
        pairs = [(word, word) if isinstance(word, str) else word for word in command]
        self.plan.stages[name] = Stage(
            name=name,
            command=[word for word, _ in pairs if word is not None],
            identity=[word for _, word in pairs if word is not None],
            needs=[*needs],
            result=result,
            configs={_config(one)[1]: self._content(one.config) for one in networks},
            outputs=[*outputs],
            test=test,
        )
        return name

    def _tool(self, tool: str, before: Sequence[Word], options: Sequence[Word]) -> list[Word]:
        """Return a command as it is launched; ``before`` is before the number of processes."""
        path = TOOLS / f'{tool}.py'
        if self.launch.launcher == 'none':
            return [('python', None), (shown_path(path), tool), *before, *options]
        script = shown_path(path.with_name(f'dist_{tool}.sh'))
        # A path without a folder would be looked up in PATH.
        script = script if os.sep in script else os.path.join('.', script)
        return [(script, tool), *before, (str(self.launch.gpus), None), *options]

    def _at(self, *parts: str) -> tuple[str, str]:
        return os.path.join(self.plan.work_dir, *parts), os.path.join('WORK_DIR', *parts)

    def _best(self, network: Network) -> tuple[str, str]:
        return self._at('checkpoints', f'{network.name}.pth')

    def _content(self, path: Path) -> str:
        """Return a hash of a config with all it inherits."""
        if path not in self.contents:
            text = json.dumps(read_config_file(path).to_dict(), sort_keys=True, default=str)
            self.contents[path] = hashlib.sha256(text.encode()).hexdigest()
        return self.contents[path]

    def _prepare(self, one: Preparation) -> str:
        words: list[Word] = [*one.command]
        if one.command[0].endswith('.py'):
            own = TOOLS.parent / one.command[0]
            path = shown_path(own) if own.is_file() else one.command[0]
            words[:1] = [('python', None), (path, one.command[0])]
        return self._add(f'prepare/{one.name}', words, [], one.result)

    def _train(self, network: Network, needs: Sequence[str], group: str) -> str:
        again = group == 'retrained'
        stage = f'{"retrain" if again else "train"}/{network.name}'
        folder, best = self._at(stage), self._best(network)
        options: list[Word] = ['--work-dir', folder, '--resume']
        if self.plan.seed is not None:
            if any(word.partition('=')[0] == '--seed' for word in network.train_options):
                raise RecipeError(
                    f'the recipe gives {network.name} a seed of its own, '
                    f'"{" ".join(network.train_options)}"; leave it out there, or run without '
                    'a seed'
                )
            options += ['--seed', str(self.plan.seed)]
        options += network.train_options
        if again:
            # --cfg-options may be given once only.
            at = options.index('--cfg-options') if '--cfg-options' in options else len(options)
            pointed = self._reads_pseudo_labels(network, needs[0])
            options[at : at + 1] = ['--cfg-options', pointed]
        command = self._tool('train', [_config(network)], options)
        outputs = [folder[0], best[0]]
        self._add(stage, command, needs, best[0], [network], outputs)
        self._test(group, network.name, [network], [stage])
        return stage

    def _reads_pseudo_labels(self, network: Network, labels: str) -> Word:
        """Return the option that lets a config read the pseudo labels of a stage."""
        loader = read_config_file(network.config).get('train_dataloader') or {}
        paths = list(_pseudo_label_loaders(loader, 'train_dataloader'))
        if len(paths) != 1:
            raise RecipeError(
                f'{network.config} has {len(paths)} tfinet_mm.LoadPseudoLabels in its '
                'train_dataloader, to train again with pseudo labels it needs one, after '
                'LoadPairAnnotations'
            )
        path, same = self._at(labels)
        # Unquoted, the option would read a comma or a bracket as a list.
        path = path if re.fullmatch(r'[\w./+@%~-]+', path) else repr(path)
        return f'{paths[0]}.data_root={path}', f'{paths[0]}.data_root={same}'

    def _label(self, labels: PseudoLabels, trained: Sequence[str]) -> str:
        members = self.recipe.members
        root, report = self._at(labels.stage), self._at(labels.stage, 'report.json')
        first, *pairs = [word for one in members for word in (_config(one), self._best(one))]
        command = self._tool('pseudo_label', [first], [*pairs, '--out', root, *labels.options])
        return self._add(labels.stage, command, trained, report[0], members, [root[0]])

    def _test(
        self, group: str, name: str, networks: Sequence[Network], needs: Sequence[str]
    ) -> None:
        """Add the stages that test a network, or an ensemble."""
        model: list[Word] = [_config(networks[0]), self._best(networks[0])]
        weights: list[Word] = []
        if group.endswith('_ensemble'):
            model = [config := self._at('ensembles', f'{name}.py')]
            checkpoints = [Path(self._best(one)[0]) for one in networks]
            self.plan.ensembles[config[0]] = ensemble_config(networks, checkpoints)
            weights = [(None, f'{one.name}*{one.weight:g}') for one in networks]
        for way in self.recipe.tests[group]:
            kind = 'test' if way == 'plain' else 'test_tta'
            folder, scores = self._at(kind, name), self._at(kind, name, 'scores.json')
            options: list[Word] = ['--work-dir', folder, '--json', scores]
            options += [*(['--tta'] if way == 'tta' else []), *self.recipe.test_options]
            command = [*self._tool('test', model, options), *weights]
            test = dict(group=group, networks=[one.name for one in networks], tta=way == 'tta')
            self._add(f'{kind}/{name}', command, needs, scores[0], networks, [folder[0]], test)


def ensemble_config(networks: Sequence[Network], checkpoints: Sequence[Path]) -> str:
    """Return the text of a config that tests networks together, on the data of the first.

    Args:
        networks: The networks.
        checkpoints: A checkpoint each.
    """
    members = [
        dict(
            config=str(network.config.resolve()),
            checkpoint=str(Path(checkpoint).absolute()),
            name=network.name,
            weight=network.weight,
        )
        for network, checkpoint in zip(networks, checkpoints, strict=True)
    ]
    if Config._is_lazy_import(str(networks[0].config)):
        # A config of text can't inherit one of MMEngine's new style, so it holds all of it.
        cfg = Config.fromfile(str(networks[0].config))
        cfg.model = dict(type='tfinet_mm.SCDEnsemble', members=members)
        return f'# Written by tools/recipe.py.\n{cfg.pretty_text}'
    return (
        '# Written by tools/recipe.py.\n'
        f'_base_ = {str(networks[0].config.resolve())!r}\n'
        f'model = dict(\n    _delete_=True,\n    type={"tfinet_mm.SCDEnsemble"!r},\n'
        f'    members={pformat(members, width=96, sort_dicts=False)},\n)\n'
    )


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path as one would type it: relative where it lies below the current folder."""
    path = Path(os.path.abspath(path))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _config(network: Network) -> tuple[str, str]:
    """Return a network's config as a word of a command, and what it is called anywhere."""
    file, name = network.config.name, network.name
    return shown_path(network.config), file if network.config.stem == name else f'{file} of {name}'


def _pseudo_label_loaders(value: object, path: str) -> Iterator[str]:
    """Yield the dotted paths of every LoadPseudoLabels in a part of a config."""
    if isinstance(value, dict) and class_name(value.get('type', '')) == 'LoadPseudoLabels':
        yield path
    if isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _pseudo_label_loaders(item, f'{path}.{key}')
