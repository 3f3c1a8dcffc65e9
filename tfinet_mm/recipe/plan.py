"""Turn a recipe into stages: ordinary commands, and the files between them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

from mmengine.config import Config

from tfinet_mm.engine.options import use_pseudo_labels
from tfinet_mm.errors import RecipeError
from tfinet_mm.recipe.config import Member, Network, Preparation, PseudoLabels, Recipe
from tfinet_mm.recipe.state import Plan, Stage
from tfinet_mm.utils.config.reading import read_config_file
from tfinet_mm.utils.fingerprints import content_hash
from tfinet_mm.utils.project_files import project_folder
from tfinet_mm.utils.snakemake import thread_words

TOOLS = project_folder('tools')


def make_plan(
    recipe: Recipe, work_dir: str | os.PathLike[str], gpus: int = 0, seed: int | None = None
) -> Plan:
    """Plan a recipe; nothing is written or started.

    Args:
        recipe: The recipe.
        work_dir: Folder of everything it makes.
        gpus: Processes of each command, through ``tools/dist_*.sh``; 0 for one without these.
        seed: Seed of every training.

    Raises:
        ConfigError: A network to train again reads no pseudo labels.
        RecipeError: There is a seed, and one of the recipe's own.
    """
    return _Planner(recipe, shown_path(work_dir), gpus, seed).plan


class _Planner:
    def __init__(self, recipe: Recipe, work_dir: str, gpus: int, seed: int | None) -> None:
        self.recipe, self.gpus = recipe, gpus
        self.plan = Plan(work_dir, os.getcwd(), seed, thread_words())
        self.configs = {
            # With all that it inherits.
            path: dict(file=shown_path(path), sha256=content_hash(read_config_file(path).to_dict()))
            for path in {one.config for one in (*recipe.members, *recipe.others, *recipe.retrain)}
        }
        before = [self._prepare(one) for one in recipe.prepare]
        trained = [self._train(one, before, 'members') for one in recipe.members]
        self._ensemble('members', recipe.members, trained)
        for one in recipe.others:
            self._train(one, before, 'others')
        labelled = {one.name: self._label(one, trained) for one in recipe.pseudo_labels}
        again = {
            one: self._train(one, [labelled[one.labels]], 'retrained') for one in recipe.retrain
        }
        if final := [one for one in recipe.retrain if one.ensemble]:
            self._ensemble('retrained', final, [again[one] for one in final])

    def _add(self, name: str, *args: Any, **kwargs: Any) -> str:
        self.plan.stages[name] = Stage(name, *args, **kwargs)
        return name

    def _tool(self, tool: str, before: Sequence[str], options: Sequence[str]) -> list[str]:
        """Return a command as it is launched; ``before`` is before the number of processes."""
        if not self.gpus:
            return ['python', shown_path(TOOLS / f'{tool}.py'), *before, *options]
        script = shown_path(TOOLS / f'dist_{tool}.sh')
        # A path without a folder would be looked up in PATH.
        script = script if os.sep in script else os.path.join('.', script)
        return [script, *before, str(self.gpus), *options]

    def _at(self, *parts: str) -> str:
        return os.path.join(self.plan.work_dir, *parts)

    def _model(self, network: Network) -> list[str]:
        """Return config and checkpoint as words of a command."""
        return [shown_path(network.config), self._at('checkpoints', f'{network.name}.pth')]

    def _made_from(
        self, tool: str, networks: Sequence[Network], options: Sequence[str], **settings: Any
    ) -> dict[str, Any]:
        """Return what tells whether a stage was done with something else: see :class:`Stage`."""
        found = [dict(name=one.name, config=self.configs[one.config]) for one in networks]
        return dict(tool=tool, options=_by_name(options), networks=found, **settings)

    def _prepare(self, one: Preparation) -> str:
        words = list(one.command)
        if words[0].endswith('.py'):
            own = TOOLS.parent / words[0]
            words = ['python', shown_path(own) if own.is_file() else words[0], *words[1:]]
        made_from = dict(command=list(one.command))
        return self._add(f'prepare/{one.name}', words, made_from, [], one.result or None)

    def _train(self, network: Network, needs: Sequence[str], group: str) -> str:
        again, seed = group == 'retrained', self.plan.seed
        stage = f'{"retrain" if again else "train"}/{network.name}'
        config, best = self._model(network)
        settings: dict[str, Any] = dict(seed=seed)
        chosen = [] if seed is None else ['--seed', str(seed)]
        if chosen and any(word.partition('=')[0] == '--seed' for word in network.train_options):
            raise RecipeError(
                f'the recipe gives {network.name} a seed of its own, '
                f'"{" ".join(network.train_options)}"; leave it out there, or run without a seed'
            )
        if again:
            settings['labels'] = needs[0]
            # Refuses a network that reads none.
            use_pseudo_labels(read_config_file(network.config), self._at(needs[0]))
            chosen += ['--pseudo-labels', self._at(needs[0])]
        words = ['--work-dir', self._at(stage), '--resume', *chosen, *network.train_options]
        command = self._tool('train', [config], words)
        made_from = self._made_from('train', [network], network.train_options, **settings)
        self._add(stage, command, made_from, [*needs], best)
        self._test(group, network.name, [config, best], [network], [stage])
        return stage

    def _label(self, labels: PseudoLabels, trained: Sequence[str]) -> str:
        stage = f'pseudo_labels/{labels.name}' if labels.name else 'pseudo_labels'
        members, root = self.recipe.members, self._at(stage)
        options = ['--method', labels.method, *(['--tta'] if labels.tta else []), *labels.options]
        first, *pairs = [word for one in members for word in self._model(one)]
        command = self._tool('pseudo_label', [first], [*pairs, '--out', root, *options])
        made_from = self._made_from('pseudo_label', members, options)
        result = os.path.join(root, 'report.json')
        return self._add(stage, command, made_from, [*trained], result)

    def _ensemble(self, name: str, networks: Sequence[Member], needs: Sequence[str]) -> None:
        """Write the config of an ensemble into the plan, and add the stages that test it."""
        config = self._at('ensembles', f'{name}.py')
        checkpoints = [Path(self._model(one)[1]) for one in networks]
        self.plan.ensembles[config] = ensemble_config(networks, checkpoints)
        weights = [one.weight for one in networks]
        self._test(f'{name}_ensemble', name, [config], networks, needs, weights=weights)

    def _test(
        self,
        group: str,
        name: str,
        model: Sequence[str],
        networks: Sequence[Network],
        needs: Sequence[str],
        **settings: Any,
    ) -> None:
        """Add the stages that test a network, or an ensemble."""
        for way in getattr(self.recipe.tests, group):
            kind, tta = ('test_tta', ['--tta']) if way == 'tta' else ('test', [])
            folder, options = self._at(kind, name), [*tta, *self.recipe.test_options]
            scores = os.path.join(folder, 'scores.json')
            places = ['--work-dir', folder, '--json', scores]
            command = self._tool('test', model, [*places, *options])
            made_from = self._made_from('test', networks, options, **settings)
            test = dict(group=group, networks=[one.name for one in networks], tta=way == 'tta')
            self._add(f'{kind}/{name}', command, made_from, [*needs], scores, test)


def ensemble_config(networks: Sequence[Member], checkpoints: Sequence[Path]) -> str:
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
    first = networks[0].config
    if Config._is_lazy_import(str(first)):
        # A config of text can't inherit one of MMEngine's new style, so it holds all of it.
        cfg = read_config_file(first)
        cfg.model = dict(type='tfinet_mm.SCDEnsemble', members=members)
        return f'# Written by tools/recipe.py.\n{cfg.pretty_text}'
    model = dict(_delete_=True, type='tfinet_mm.SCDEnsemble', members=members)
    return (
        f'# Written by tools/recipe.py.\n_base_ = {str(first.resolve())!r}\n'
        f'model = {pformat(model, width=96, sort_dicts=False)}\n'
    )


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path as one would type it: relative where it lies below the current folder."""
    path = Path(os.path.abspath(path))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _by_name(options: Sequence[str]) -> dict[str, str]:
    """Return the values of options by their names, so that a message can say which differs."""
    found: dict[str, list[str]] = {}
    name = ''
    for word in options:
        if word.startswith('--'):
            name, _, word = word.partition('=')
        found.setdefault(name, []).append(word)
    return {name: ' '.join(filter(None, words)) for name, words in found.items()}
