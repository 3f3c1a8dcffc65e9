"""Read a recipe: which networks are trained, how pseudo labels are made, what is tested."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

from tfinet_mm.errors import RecipeError
from tfinet_mm.utils.config.reading import read_config_file
from tfinet_mm.utils.config.values import TRUTH, list_of, number, of_kind, one_of
from tfinet_mm.utils.near_names import hint, nearest

Entry = TypeVar('Entry')

LONGEST_NAME = 100
"""Bytes of a name; files get more letters, and file systems allow 255."""


WORDS = list_of(of_kind(str, int, float, words='a word or a number'))

# The types of keys, each with the rule for its values.
Words = Annotated[tuple[str, ...], WORDS]
Command = Annotated[Words, lambda value: WORDS(value or None)]
Ways = Annotated[tuple[str, ...], list_of(one_of('plain', 'tta'))]
Name = Annotated[str, of_kind(str, words='a word')]
File = Annotated[str, of_kind(str, words='the name of a file')]
Flag = Annotated[bool, TRUTH]
List = Annotated[tuple[Entry, ...], of_kind(list, tuple, words='a list')]
BOTH: Ways = ('plain', 'tta')


@dataclass(frozen=True)
class Preparation:
    """A command that runs before everything else, and again where its result is missing."""

    name: Name
    command: Command
    result: File = ''


@dataclass(frozen=True)
class Network:
    """A network that a recipe trains."""

    config: Annotated[Path, of_kind(str, words='the name of a file')]
    name: Name = ''
    train_options: Words = ()


@dataclass(frozen=True)
class Member(Network):
    """One that is in an ensemble."""

    weight: Annotated[float, number(0, above=True)] = 1.0


@dataclass(frozen=True)
class Retrained(Member):
    """One trained on the pseudo labels of the name ``labels``."""

    labels: Name = ''
    ensemble: Flag = True


@dataclass(frozen=True)
class PseudoLabels:
    """Pseudo labels that all members make together; the only ones may have no name."""

    method: Annotated[str, one_of('vote', 'soft')]
    name: Name = ''
    tta: Flag = False
    options: Words = ()


@dataclass(frozen=True)
class Tests:
    """Ways in which each group of networks is tested."""

    members: Ways = BOTH
    members_ensemble: Ways = BOTH
    others: Ways = BOTH
    retrained: Ways = BOTH
    retrained_ensemble: Ways = BOTH


@dataclass(frozen=True)
class Recipe:
    """Hold what a recipe's config says, checked: see :func:`load_recipe`."""

    members: List[Member] = ()
    prepare: List[Preparation] = ()
    others: List[Network] = ()
    pseudo_labels: List[PseudoLabels] = ()
    retrain: List[Retrained] = ()
    tests: Annotated[Tests, of_kind(Mapping, words="like dict(members=['plain'])")] = Tests()
    train_options: Words = ()
    test_options: Words = ()


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
    known = [one.name for one in fields(Recipe)]
    cfg = {
        key: value
        for key, value in read_config_file(path).to_dict().items()
        if key in known or isinstance(value, Mapping | list) or nearest(key, known)
    }
    if isinstance(cfg.get('pseudo_labels'), Mapping):
        cfg['pseudo_labels'] = [cfg['pseudo_labels']]
    said: Any = _entry(Recipe, cfg, str(path))
    recipe = replace(
        said,
        prepare=tuple(_entry(Preparation, one, 'each of prepare') for one in said.prepare),
        pseudo_labels=tuple(
            _entry(PseudoLabels, one, 'pseudo_labels') for one in said.pseudo_labels
        ),
        tests=_entry(Tests, cfg.get('tests', {}), 'tests'),
        **{
            group: tuple(_network(kind, one, group, path, said) for one in getattr(said, group))
            for group, kind in (('members', Member), ('others', Network), ('retrain', Retrained))
        },
    )
    if not recipe.members:
        raise RecipeError(f'{path} lists no network; give members=[config, ...]')
    names = [one.name for one in (*recipe.members, *recipe.others, *recipe.retrain)]
    _check_names('preparations', [one.name for one in recipe.prepare])
    _check_names('networks', names)
    if (made := [one.name for one in recipe.pseudo_labels]) != ['']:
        _check_names('pseudo labels', made)
    for name in {'members', 'retrained'} & set(names):
        raise RecipeError(f'{name!r} is the name of an ensemble; give dict(..., name=...)')
    retrain = (replace(one, labels=_labels_of(one, made)) for one in recipe.retrain)
    return replace(recipe, retrain=tuple(retrain))


def _entry(kind: type[Entry], entry: Any, where: str) -> Entry:
    """Return a dataclass of an entry, its keys and values checked; ``where`` is for messages."""
    types = get_type_hints(kind, include_extras=True)
    needed = [key for key in types if not hasattr(kind, key)]
    if not isinstance(entry, Mapping) or not {*needed} <= entry.keys():
        words = ', '.join(f'{key}=...' for key in needed)
        raise RecipeError(f'{where} must be dict({words}, ...), got {entry!r}')
    if unknown := sorted(entry.keys() - types.keys()):
        raise RecipeError(
            f'{where}: {unknown} is none of the keys {sorted(types)}{hint(unknown[0], types)}'
        )
    values = dict(entry)
    for key, value in entry.items():
        if expected := types[key].__metadata__[-1](value):
            raise RecipeError(f'{key} of {where} must be {expected}, got {value!r}')
        if types[key].__origin__ == tuple[str, ...]:
            values[key] = tuple(map(str, value))
    return kind(**values)


def _network(kind: type[Network], entry: Any, group: str, path: Path, recipe: Recipe) -> Any:
    entry = dict(config=entry) if isinstance(entry, str) else entry
    name = entry.get('config') if isinstance(entry, Mapping) else None
    one = _entry(kind, entry, f'{name or "a network"} of {group}')
    config = path.parent / one.config
    if not config.is_file():
        raise FileNotFoundError(
            f'there is no config {config}; configs are named relative to the folder of the recipe'
        )
    options = (*recipe.train_options, *one.train_options)
    return replace(one, config=config, name=one.name or config.stem, train_options=options)


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


def _labels_of(network: Retrained, names: Sequence[str]) -> str:
    """Return the name of the pseudo labels that a network is trained on."""
    if not names:
        raise RecipeError(
            f'{network.name} is trained again, but the recipe makes no pseudo labels; '
            "give pseudo_labels=dict(method='vote')"
        )
    if not network.labels and len(names) == 1:
        return names[0]
    if network.labels not in names:
        raise RecipeError(
            f'{network.name} needs labels=..., the name of the pseudo labels it is trained on: '
            f'one of {names}, got {network.labels!r}'
        )
    return network.labels
