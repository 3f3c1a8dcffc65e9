"""Turn a recipe into stages: ordinary commands in an order, and the files between them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pprint import pformat

from mmengine.config import Config

import tfinet_mm
from tfinet_mm.errors import RecipeError
from tfinet_mm.recipe.config import Network, Preparation, PseudoLabels, Recipe
from tfinet_mm.recipe.state import Stage
from tfinet_mm.utils.class_names import class_name
from tfinet_mm.utils.config.reading import read_config_file
from tfinet_mm.utils.files import whole_file

TOOLS = Path(tfinet_mm.__file__).resolve().parents[1] / 'tools'
LAUNCHERS = ('none', 'pytorch')


@dataclass(frozen=True)
class Test:
    """What a stage that tests is about: a row of the table.

    Attributes:
        stage: Name of the stage.
        group: One of :data:`~tfinet_mm.recipe.config.GROUPS`.
        networks: Names of the networks, one or those of the ensemble.
        tta: Whether with test-time augmentation.
        scores: JSON file of the scores.
    """

    __test__ = False

    stage: str
    group: str
    networks: tuple[str, ...]
    tta: bool
    scores: Path


@dataclass
class Plan:
    """The stages of a recipe in their order.

    Attributes:
        stages: All of them; a stage needs earlier ones only.
        tests: Those that test, in the same order.
        ensembles: Content of the ensembles' config files by path.
        work_dir: Folder of everything.
        seed: Seed of every training, None where each draws its own.
        reports: Reports of the pseudo labels by name of their stage.
    """

    work_dir: Path
    seed: int | None = None
    stages: list[Stage] = field(default_factory=list)
    tests: list[Test] = field(default_factory=list)
    ensembles: dict[Path, str] = field(default_factory=dict)
    reports: dict[str, Path] = field(default_factory=dict)

    def write_ensembles(self) -> None:
        """Write the ensembles' configs where they aren't there already."""
        for path, content in self.ensembles.items():
            if not path.is_file() or path.read_text(encoding='utf-8') != content:
                with whole_file(path) as partial:
                    partial.write_text(content, encoding='utf-8')


@dataclass(frozen=True)
class Launch:
    """How the tools are started.

    Attributes:
        launcher: ``'none'``, one process, or ``'pytorch'``, through ``tools/dist_*.sh``.
        gpus: Number of processes.
    """

    launcher: str = 'none'
    gpus: int = 1

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            RecipeError: The launcher is unknown, or the number doesn't go with it.
        """
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
    """Plan a recipe.

    Args:
        recipe: The recipe.
        work_dir: Folder for everything that it makes.
        launch: How the tools are started.
        seed: Seed of every training.

    Returns:
        The plan; nothing has been written or started yet.

    Raises:
        RecipeError: A network to train again reads no pseudo labels, or there
            is a seed and one of the recipe's own.
    """
    return _Planner(recipe, Path(work_dir), launch, seed).plan


class _Planner:
    def __init__(self, recipe: Recipe, work_dir: Path, launch: Launch, seed: int | None) -> None:
        self.recipe, self.work_dir, self.launch = recipe, work_dir, launch
        self.plan = Plan(work_dir, seed)
        before = tuple(self._prepare(one) for one in recipe.prepare)
        trained = [self._train(one, before, 'members') for one in recipe.members]
        self._test_ensemble('members', recipe.members, trained)
        for one in recipe.others:
            self._train(one, before, 'others')
        labelled = {one.name: self._label(one, trained) for one in recipe.pseudo_labels}
        retrained = {
            one.name: self._train(one, (labelled[one.labels],), 'retrained')
            for one in recipe.retrain
        }
        if final := [one for one in recipe.retrain if one.ensemble]:
            self._test_ensemble('retrained', final, [retrained[one.name] for one in final])

    def _add(
        self,
        name: str,
        command: Sequence[str],
        identity: Sequence[str] | None = None,
        needs: Sequence[str] = (),
        result: Path | None = None,
        outputs: Sequence[Path] = (),
        configs: Sequence[Path] = (),
        best_of: Path | None = None,
    ) -> str:
        command = tuple(command)
        self.plan.stages.append(
            Stage(
                name=name,
                command=command,
                identity=command if identity is None else tuple(identity),
                needs=tuple(needs),
                result=result,
                outputs=tuple(outputs),
                configs=tuple(configs),
                best_of=best_of,
            )
        )
        return name

    def _tool(
        self, tool: str, positional: Sequence[str], options: Sequence[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The command as it is launched, and as it would be in a single process."""
        single = ('python', shown_path(TOOLS / f'{tool}.py'), *positional, *options)
        if self.launch.launcher == 'none':
            return single, single
        return (_script(tool), *positional, str(self.launch.gpus), *options), single

    def _best(self, stage: str) -> Path:
        return self.work_dir / 'checkpoints' / f'{stage.rpartition("/")[2]}.pth'

    def _prepare(self, one: Preparation) -> str:
        words = list(one.command)
        if words[0].endswith('.py'):
            own = TOOLS.parent / words[0]
            words = ['python', shown_path(own) if own.is_file() else words[0], *words[1:]]
        return self._add(f'prepare/{one.name}', words, result=one.result)

    def _train(self, network: Network, needs: Sequence[str], group: str) -> str:
        again = group == 'retrained'
        stage = f'{"retrain" if again else "train"}/{network.name}'
        folder = self.work_dir / stage
        config = shown_path(network.config)
        options = ['--work-dir', str(folder), '--resume', *self._seed_words(network)]
        options += network.train_options
        if again:
            (labels,) = needs
            options = _with_value(options, self._reads_pseudo_labels(network, labels))
        command, identity = self._tool('train', [config], options)
        self._add(
            stage,
            command,
            identity,
            needs=needs,
            result=self._best(stage),
            outputs=[folder, self._best(stage)],
            configs=[network.config],
            best_of=folder,
        )
        self._tests(
            group,
            network.name,
            config,
            str(self._best(stage)),
            [stage],
            [network.config],
            (network.name,),
        )
        return stage

    def _seed_words(self, network: Network) -> list[str]:
        if self.plan.seed is None:
            return []
        if any(word.partition('=')[0] == '--seed' for word in network.train_options):
            raise RecipeError(
                f'the recipe gives {network.name} a seed of its own, '
                f'"{" ".join(network.train_options)}"; leave it out there, or run without a seed'
            )
        return ['--seed', str(self.plan.seed)]

    def _reads_pseudo_labels(self, network: Network, labels: str) -> str:
        """The option that lets a config read the pseudo labels of a stage."""
        loader = read_config_file(network.config).get('train_dataloader') or {}
        paths = list(_pseudo_label_loaders(loader, 'train_dataloader'))
        if len(paths) != 1:
            raise RecipeError(
                f'{network.config} has {len(paths)} tfinet_mm.LoadPseudoLabels in its '
                'train_dataloader, to train again with pseudo labels it needs one, after '
                'LoadPairAnnotations'
            )
        return f'{paths[0]}.data_root={self.work_dir / labels}'

    def _label(self, labels: PseudoLabels, trained: Sequence[str]) -> str:
        pairs = [
            word
            for network, stage in zip(self.recipe.members, trained, strict=True)
            for word in (shown_path(network.config), str(self._best(stage)))
        ]
        root = self.work_dir / labels.stage
        report = self.plan.reports[labels.stage] = root / 'report.json'
        words = [*pairs, '--out', str(root), *labels.options]
        single = ('python', shown_path(TOOLS / 'pseudo_label.py'), *words)
        command = single
        if self.launch.launcher == 'pytorch':
            command = (_script('pseudo_label'), words[0], str(self.launch.gpus), *words[1:])
        return self._add(
            labels.stage,
            command,
            single,
            needs=trained,
            result=report,
            outputs=[root],
            configs=[network.config for network in self.recipe.members],
        )

    def _test_ensemble(self, group: str, networks: Sequence[Network], needs: Sequence[str]) -> None:
        path = self.work_dir / 'ensembles' / f'{group}.py'
        checkpoints = [self._best(stage) for stage in needs]
        self.plan.ensembles[path] = ensemble_config(networks, checkpoints)
        self._tests(
            f'{group}_ensemble',
            group,
            str(path),
            None,
            needs,
            [network.config for network in networks],
            [network.name for network in networks],
            [f'{network.name}*{network.weight:g}' for network in networks],
        )

    def _tests(
        self,
        group: str,
        name: str,
        config: str,
        checkpoint: str | None,
        needs: Sequence[str],
        configs: Sequence[Path],
        networks: Sequence[str],
        weights: Sequence[str] = (),
    ) -> None:
        for way in self.recipe.tests[group]:
            stage = f'{"test" if way == "plain" else "test_tta"}/{name}'
            folder = self.work_dir / stage
            scores = folder / 'scores.json'
            options = ['--work-dir', str(folder), '--json', str(scores)]
            options += ['--tta'] if way == 'tta' else []
            positional = [config] if checkpoint is None else [config, checkpoint]
            command, identity = self._tool(
                'test', positional, [*options, *self.recipe.test_options]
            )
            self._add(
                stage,
                command,
                (*identity, *weights),
                needs=needs,
                result=scores,
                outputs=[folder],
                configs=configs,
            )
            self.plan.tests.append(Test(stage, group, tuple(networks), way == 'tta', scores))


def ensemble_config(networks: Sequence[Network], checkpoints: Sequence[Path]) -> str:
    """Text of a config that tests networks together, on the data of the first.

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


def _pseudo_label_loaders(value: object, path: str) -> Iterator[str]:
    """Dotted paths of every LoadPseudoLabels in a part of a config."""
    if isinstance(value, dict):
        if class_name(value.get('type', '')) == 'LoadPseudoLabels':
            yield path
        for key, item in value.items():
            yield from _pseudo_label_loaders(item, f'{path}.{key}')
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _pseudo_label_loaders(item, f'{path}.{index}')


def _with_value(options: Sequence[str], value: str) -> list[str]:
    """Add a value to a command's ``--cfg-options``, which may be given once only."""
    words = list(options)
    if '--cfg-options' not in words:
        return [*words, '--cfg-options', value]
    position = words.index('--cfg-options') + 1
    return [*words[:position], value, *words[position:]]


def _script(tool: str) -> str:
    """The script that starts a tool in several processes."""
    path = shown_path(TOOLS / f'dist_{tool}.sh')
    # A path without a folder would be looked up in PATH.
    return path if os.sep in path else os.path.join('.', path)


def shown_path(path: Path) -> str:
    """A path as one would type it: relative to the current folder where it lies below it."""
    path = Path(os.path.abspath(path))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
