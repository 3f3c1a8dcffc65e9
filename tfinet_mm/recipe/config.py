"""Read a recipe: which networks are trained, how pseudo labels are made, what is tested."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfinet_mm.errors import RecipeError
from tfinet_mm.utils.config.reading import read_config_file
from tfinet_mm.utils.config.signatures import hint, nearest
from tfinet_mm.utils.config.values import is_number

WAYS = ('plain', 'tta')
"""How a model is tested: as it is, or with test-time augmentation."""

GROUPS = ('members', 'members_ensemble', 'others', 'retrained', 'retrained_ensemble')
"""What a recipe tests: single networks and their ensemble, before and after re-training."""

METHODS = ('vote', 'soft')
"""How pseudo labels are made, see ``tools/pseudo_label.py``."""

LONGEST_NAME = 100
"""Bytes of a name; files get more letters, and file systems allow 255."""

_KEYS = {
    *('prepare', 'members', 'others', 'pseudo_labels', 'retrain', 'tests'),
    *('train_options', 'test_options'),
}
# What an entry may say beside config, name and train_options.
_NETWORK_KEYS = {
    'members': {'weight'},
    'others': set(),
    'retrain': {'weight', 'labels', 'ensemble'},
}


@dataclass(frozen=True)
class Preparation:
    """A command that runs before everything else, such as one that fetches or makes data.

    Attributes:
        name: Name of the stage.
        command: Its words. A first word ending in ``.py`` runs in the recipe's Python.
        result: A file or folder without which the command is run again.
    """

    name: str
    command: tuple[str, ...]
    result: Path | None = None


@dataclass(frozen=True)
class Network:
    """A network that a recipe trains.

    Attributes:
        name: Name of its stages and folders.
        config: Its config file.
        train_options: Further words for ``tools/train.py``.
        weight: Its weight in the ensemble.
        labels: Name of the pseudo labels it is trained on.
        ensemble: Whether it is part of the ensemble.
    """

    name: str
    config: Path
    train_options: tuple[str, ...] = ()
    weight: float = 1.0
    labels: str = ''
    ensemble: bool = True


@dataclass(frozen=True)
class PseudoLabels:
    """Pseudo labels that all members make together.

    Attributes:
        name: Their name, empty for the only ones of a recipe that gives none.
        options: Words for ``tools/pseudo_label.py``.
    """

    name: str
    options: tuple[str, ...]

    @property
    def stage(self) -> str:
        """Name of their stage, and of their folder.

        Example:
            >>> PseudoLabels('soft', ('--method', 'soft')).stage
            'pseudo_labels/soft'
            >>> PseudoLabels('', ('--method', 'vote')).stage
            'pseudo_labels'
        """
        return f'pseudo_labels/{self.name}' if self.name else 'pseudo_labels'


@dataclass(frozen=True)
class Recipe:
    """What a recipe's config says, checked.

    Attributes:
        prepare: What runs first.
        members: Networks trained on the annotation alone.
        others: Networks to compare with: no part of the ensemble or of the pseudo labels.
        pseudo_labels: What the members label, in as many ways as a recipe compares.
        retrain: Networks trained on annotation and pseudo labels.
        tests: For each of :data:`GROUPS`, how it is tested.
        test_options: Further words for every ``tools/test.py``.
    """

    prepare: tuple[Preparation, ...]
    members: tuple[Network, ...]
    others: tuple[Network, ...]
    pseudo_labels: tuple[PseudoLabels, ...]
    retrain: tuple[Network, ...]
    tests: dict[str, tuple[str, ...]]
    test_options: tuple[str, ...]


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read and check a recipe.

    A recipe is an MMEngine config with these keys, all but ``members`` optional:

    - ``prepare``: list of ``dict(name=..., command=[word, ...], result=...)``,
      the last a path without which it is run again.
    - ``members``: configs, relative to the recipe's folder, or
      ``dict(config=..., name=..., train_options=[...], weight=1.0)``.
    - ``others``: the same without ``weight``, networks that are trained and
      tested only.
    - ``pseudo_labels``: ``dict(method=..., tta=True, options=[...])``, or a
      list of these with a ``name`` each.
    - ``retrain``: like ``members``, with ``tfinet_mm.LoadPseudoLabels`` in
      their train pipeline. ``labels`` names the pseudo labels where there are
      several; ``ensemble=False`` leaves a network out of the ensemble.
    - ``tests``: by group (:data:`GROUPS`), a list of ``'plain'`` and ``'tta'``.
    - ``train_options``, ``test_options``: words for every training, every test.

    Args:
        path: The config file.

    Raises:
        FileNotFoundError: The recipe, or a config that it names, doesn't exist.
        RecipeError: The recipe can't be carried out; the message says why.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'there is no recipe {path}')
    # A config's own variables (strings, numbers) are no keys of the recipe.
    cfg = {
        key: value
        for key, value in read_config_file(path).to_dict().items()
        if key in _KEYS or isinstance(value, Mapping | list) or nearest(key, _KEYS)
    }
    _check_keys(cfg, _KEYS, str(path))
    train_options = _words(cfg.get('train_options'), 'train_options')
    pseudo_labels = _pseudo_labels(cfg.get('pseudo_labels'))
    members, others, retrain = (
        tuple(
            _network(entry, kind, path.parent, train_options, pseudo_labels)
            for entry in _listed(cfg.get(kind), kind)
        )
        for kind in _NETWORK_KEYS
    )
    if not members:
        raise RecipeError(f'{path} lists no network; give members=[config, ...]')
    recipe = Recipe(
        prepare=tuple(_preparation(entry) for entry in _listed(cfg.get('prepare'), 'prepare')),
        members=members,
        others=others,
        pseudo_labels=pseudo_labels,
        retrain=retrain,
        tests=_tests(cfg.get('tests') or {}),
        test_options=_words(cfg.get('test_options'), 'test_options'),
    )
    _check_names(recipe)
    return recipe


def _check_keys(found: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(found.keys() - known):
        raise RecipeError(
            f'{where}: {unknown} is none of the keys {sorted(known)}{hint(unknown[0], known)}'
        )


def _listed(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value or [], list | tuple):
        raise RecipeError(f'{where} must be a list, like [{value!r}], got {value!r}')
    return value or ()


def _words(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value or (), Sequence):
        raise RecipeError(f"{where} must be a list of words, like ['--amp'], got {value!r}")
    return tuple(str(word) for word in value or ())


def _preparation(entry: Any) -> Preparation:
    if not isinstance(entry, Mapping) or not {'name', 'command'} <= entry.keys():
        raise RecipeError(f'prepare must list dict(name=..., command=[word, ...]), got {entry!r}')
    _check_keys(entry, {'name', 'command', 'result'}, 'prepare')
    command = _words(entry['command'], f'the command of {entry["name"]}')
    if not command:
        raise RecipeError(f'the command of {entry["name"]} is empty')
    result = entry.get('result')
    return Preparation(str(entry['name']), command, None if result is None else Path(result))


def _network(
    entry: Any,
    kind: str,
    folder: Path,
    train_options: tuple[str, ...],
    pseudo_labels: Sequence[PseudoLabels],
) -> Network:
    if isinstance(entry, str):
        entry = dict(config=entry)
    if not isinstance(entry, Mapping) or 'config' not in entry:
        raise RecipeError(f'a network must be a config, or dict(config=..., name=...), got {entry}')
    known = {'config', 'name', 'train_options'} | _NETWORK_KEYS[kind]
    _check_keys(entry, known, f'a network of {kind}')
    if not isinstance(entry['config'], str | os.PathLike):
        raise RecipeError(f'config of {kind} must be the name of a file, got {entry["config"]!r}')
    config = folder / entry['config']
    if not config.is_file():
        raise FileNotFoundError(
            f'there is no config {config}; configs are named relative to the folder of the recipe'
        )
    name = entry.get('name', config.stem)
    if not isinstance(name, str):
        raise RecipeError(f'the name of {config.name} must be a word, got {name!r}')
    weight = entry.get('weight', 1.0)
    if not is_number(weight) or weight <= 0:
        raise RecipeError(f'the weight of {config.name} must be a number above 0, got {weight!r}')
    ensemble = entry.get('ensemble', True)
    if not isinstance(ensemble, bool):
        raise RecipeError(f'ensemble of {name} must be True or False, got {ensemble!r}')
    return Network(
        name=name,
        config=config,
        train_options=(*train_options, *_words(entry.get('train_options'), 'train_options')),
        weight=float(weight),
        labels=_labels(entry.get('labels'), name, pseudo_labels) if kind == 'retrain' else '',
        ensemble=ensemble,
    )


def _labels(name: Any, network: str, pseudo_labels: Sequence[PseudoLabels]) -> str:
    """Name of the pseudo labels that a network is trained on."""
    names = [one.name for one in pseudo_labels]
    if not names:
        raise RecipeError(
            f'{network} is trained again, but the recipe makes no pseudo labels; '
            "give pseudo_labels=dict(method='vote')"
        )
    if name is None and len(names) == 1:
        return names[0]
    if names == ['']:
        raise RecipeError(
            f'{network} asks for the labels {name!r}, but the only pseudo labels have no name; '
            f'leave out labels, or give a list, pseudo_labels=[dict(name={name!r}, method=...)]'
        )
    if name not in names:
        raise RecipeError(
            f'{network} needs labels=..., the name of the pseudo labels it is trained on: '
            f'one of {names}, got {name!r}'
        )
    return str(name)


def _pseudo_labels(value: Any) -> tuple[PseudoLabels, ...]:
    if value is None:
        return ()
    several = isinstance(value, list)
    needed = {'method', 'name'} if several else {'method'}
    made = []
    for entry in value if several else [value]:
        if not isinstance(entry, Mapping) or not needed <= entry.keys():
            raise RecipeError(
                "pseudo_labels must be dict(method='vote' or 'soft', ...), or a list of these, "
                f"each with name='...', got {entry}"
            )
        _check_keys(entry, {*needed, 'tta', 'options'}, 'pseudo_labels')
        if entry['method'] not in METHODS:
            raise RecipeError(
                f'the method of pseudo_labels must be one of {METHODS}, got {entry["method"]!r}'
            )
        if not isinstance(entry.get('tta', False), bool):
            raise RecipeError(f'tta of pseudo_labels must be True or False, got {entry["tta"]!r}')
        tta = ('--tta',) if entry.get('tta') else ()
        options = _words(entry.get('options'), 'the options of pseudo_labels')
        words = ('--method', str(entry['method']), *tta, *options)
        made.append(PseudoLabels(str(entry.get('name', '')), words))
    return tuple(made)


def _tests(entry: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(entry, Mapping):
        raise RecipeError(f"tests must be like dict(members=['plain']), got {entry!r}")
    _check_keys(entry, set(GROUPS), 'tests')
    tests = {group: _words(entry.get(group, WAYS), f'tests.{group}') for group in GROUPS}
    for group, ways in tests.items():
        if not set(ways) <= set(WAYS):
            raise RecipeError(f'tests.{group} must be some of {WAYS}, got {ways}')
    return tests


def _check_names(recipe: Recipe) -> None:
    networks = [one.name for one in (*recipe.members, *recipe.others, *recipe.retrain)]
    labels = [one.name for one in recipe.pseudo_labels]
    for kind, names in (
        ('preparations', [one.name for one in recipe.prepare]),
        ('networks', networks),
        ('pseudo labels', [] if labels == [''] else labels),
    ):
        for name in names:
            usable = name.isprintable() and name.strip() and not set(name) & set('/\\')
            usable = usable and len(os.fsencode(name)) <= LONGEST_NAME
            if names.count(name) > 1 or not usable or name.startswith('.'):
                raise RecipeError(
                    f'{kind} need names of their own that can be file names, got {names}; '
                    'give dict(..., name=...)'
                )
    for name in networks:
        if name in ('members', 'retrained'):
            raise RecipeError(f'{name!r} is the name of an ensemble; give dict(..., name=...)')
