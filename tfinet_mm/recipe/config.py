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
GROUPS = ('members', 'members_ensemble', 'others', 'retrained', 'retrained_ensemble')
METHODS = ('vote', 'soft')
LONGEST_NAME = 100
"""Bytes of a name; files get more letters, and file systems allow 255."""

# What an entry may say beside config, name and train_options.
_NETWORK_KEYS = {
    'members': {'weight'},
    'others': set(),
    'retrain': {'weight', 'labels', 'ensemble'},
}
_KEYS = {*_NETWORK_KEYS, *('prepare', 'pseudo_labels', 'tests', 'train_options', 'test_options')}


@dataclass(frozen=True)
class Preparation:
    """A command that runs before everything else, and again where its result is missing."""

    name: str
    command: tuple[str, ...]
    result: str | None = None


@dataclass(frozen=True)
class Network:
    """A network that a recipe trains; ``labels`` names the pseudo labels it is trained on."""

    name: str
    config: Path
    train_options: tuple[str, ...] = ()
    weight: float = 1.0
    labels: str = ''
    ensemble: bool = True


@dataclass(frozen=True)
class PseudoLabels:
    """Pseudo labels that all members make together; the only ones may have no name."""

    name: str
    options: tuple[str, ...]

    @property
    def stage(self) -> str:
        """Name of their stage, and of their folder."""
        return f'pseudo_labels/{self.name}' if self.name else 'pseudo_labels'


@dataclass(frozen=True)
class Recipe:
    """What a recipe's config says, checked: see :func:`load_recipe`."""

    prepare: tuple[Preparation, ...]
    members: tuple[Network, ...]
    others: tuple[Network, ...]
    pseudo_labels: tuple[PseudoLabels, ...]
    retrain: tuple[Network, ...]
    tests: dict[str, tuple[str, ...]]
    test_options: tuple[str, ...]


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read and check a recipe, a config whose keys docs/recipe.md lists.

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
    options = _words(cfg.get('train_options'), 'train_options')
    labels = _pseudo_labels(cfg.get('pseudo_labels'))
    networks = {
        kind: tuple(
            _network(entry, kind, path.parent, options, labels)
            for entry in _listed(cfg.get(kind), kind)
        )
        for kind in _NETWORK_KEYS
    }
    if not networks['members']:
        raise RecipeError(f'{path} lists no network; give members=[config, ...]')
    prepare = tuple(_preparation(entry) for entry in _listed(cfg.get('prepare'), 'prepare'))
    names = [one.name for kind in networks.values() for one in kind]
    _check_names('preparations', [one.name for one in prepare])
    _check_names('networks', names)
    if [one.name for one in labels] != ['']:
        _check_names('pseudo labels', [one.name for one in labels])
    for name in {'members', 'retrained'} & set(names):
        raise RecipeError(f'{name!r} is the name of an ensemble; give dict(..., name=...)')
    return Recipe(
        prepare=prepare,
        pseudo_labels=labels,
        tests=_tests(cfg.get('tests') or {}),
        test_options=_words(cfg.get('test_options'), 'test_options'),
        **networks,
    )


def _check_keys(found: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(found.keys() - known):
        raise RecipeError(
            f'{where}: {unknown} is none of the keys {sorted(known)}{hint(unknown[0], known)}'
        )


def _check_names(kind: str, names: Sequence[str]) -> None:
    for name in names:
        # To Snakemake, braces are wildcards.
        usable = name.isprintable() and name.strip() and not set(name) & set('/\\{}')
        usable = usable and len(os.fsencode(name)) <= LONGEST_NAME
        if names.count(name) > 1 or not usable or name.startswith('.'):
            raise RecipeError(
                f'{kind} need names of their own that can be file names, got {names}; '
                'give dict(..., name=...)'
            )


def _listed(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value or [], list | tuple):
        raise RecipeError(f'{where} must be a list, like [{value!r}], got {value!r}')
    return value or ()


def _words(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value or (), Sequence):
        raise RecipeError(f"{where} must be a list of words, like ['--amp'], got {value!r}")
    return tuple(str(word) for word in value or ())


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise RecipeError(f'{where} must be True or False, got {value!r}')
    return value


def _preparation(entry: Any) -> Preparation:
    if not isinstance(entry, Mapping) or not {'name', 'command'} <= entry.keys():
        raise RecipeError(f'prepare must list dict(name=..., command=[word, ...]), got {entry!r}')
    _check_keys(entry, {'name', 'command', 'result'}, 'prepare')
    command = _words(entry['command'], f'the command of {entry["name"]}')
    if not command:
        raise RecipeError(f'the command of {entry["name"]} is empty')
    result = entry.get('result')
    return Preparation(str(entry['name']), command, None if result is None else str(result))


def _network(
    entry: Any,
    kind: str,
    folder: Path,
    options: tuple[str, ...],
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
    name, weight = entry.get('name', config.stem), entry.get('weight', 1.0)
    if not isinstance(name, str):
        raise RecipeError(f'the name of {config.name} must be a word, got {name!r}')
    if not is_number(weight) or weight <= 0:
        raise RecipeError(f'the weight of {config.name} must be a number above 0, got {weight!r}')
    return Network(
        name=name,
        config=config,
        train_options=(*options, *_words(entry.get('train_options'), 'train_options')),
        weight=float(weight),
        labels=_labels(entry.get('labels'), name, pseudo_labels) if kind == 'retrain' else '',
        ensemble=_flag(entry.get('ensemble', True), f'ensemble of {name}'),
    )


def _labels(name: Any, network: str, pseudo_labels: Sequence[PseudoLabels]) -> str:
    """Return the name of the pseudo labels that a network is trained on."""
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
    needed = {'method', 'name'} if isinstance(value, list) else {'method'}
    made = []
    for entry in value if isinstance(value, list) else [] if value is None else [value]:
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
        tta = ('--tta',) if _flag(entry.get('tta', False), 'tta of pseudo_labels') else ()
        options = _words(entry.get('options'), 'the options of pseudo_labels')
        words = ('--method', entry['method'], *tta, *options)
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
