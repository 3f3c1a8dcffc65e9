"""Check the options of a data set, and bring each into one form.

Wrong values raise a ValueError that names the option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfinet_mm.datasets.roles import CHANGE_ROLE, ROLE_OF_KEY, ROLES, SEMANTIC_ROLES
from tfinet_mm.utils.config.values import is_whole

KEEP = ('held_out', 'rest')


def only_change(prefix: Mapping[str, str | None] | None) -> bool:
    """Return whether folders include change masks and explicitly no semantic labels."""
    folders = prefix if isinstance(prefix, Mapping) else {}
    return folders.get(CHANGE_ROLE) is not None and all(
        folders.get(role, '') is None for role in SEMANTIC_ROLES
    )


def check_unknown_change(semantic: bool, masked: bool, semantics: str) -> None:
    """Refuse labels of change beside ``change_storage='unknown'``.

    Args:
        semantic: Whether there are folders of semantic labels.
        masked: Whether there is a folder of change masks.
        semantics: Option ``label_semantics``.

    Raises:
        ValueError: There are labels of change.
    """
    if masked:
        raise ValueError(
            "change_storage='unknown' says that the change isn't labelled, but data_prefix has "
            f'change masks ({CHANGE_ROLE}); remove one of the two'
        )
    if semantic and semantics != 'land_cover':
        raise ValueError(
            "change_storage='unknown' says that the change isn't labelled, but "
            f'label_semantics={semantics!r} means labels that have a class where something '
            "changed; set label_semantics='land_cover' if they have the class of every pixel, or "
            'remove the option'
        )


def checked_fold(fold: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a fold whose keys and numbers are valid; None takes all pairs."""
    if fold is None:
        return None
    if not isinstance(fold, Mapping):
        raise ValueError(f'fold has to be a dictionary, like dict(every=10, ...), got {fold!r}')
    keep = fold.get('keep')
    if 'names' in fold:
        if set(fold) != {'names', 'keep'} or keep not in KEEP:
            raise ValueError(
                f"a fold by a list has to be dict(names='FILE', keep=...) with keep one of {KEEP}, "
                f'got {dict(fold)}'
            )
        return dict(fold)
    if 'every' not in fold or set(fold) - {'every', 'start', 'keep'} or keep not in KEEP:
        raise ValueError(
            f'fold has to be dict(every=10, start=0, keep=...) with keep one of {KEEP}, '
            f'got {dict(fold)}'
        )
    starts = fold.get('start', 0)
    numbers = [fold['every'], *(starts if isinstance(starts, list | tuple) else [starts])]
    if not all(is_whole(one) for one in numbers):
        raise ValueError(f'every and start of a fold have to be whole numbers, got {dict(fold)}')
    return dict(fold)


def storage_by_role(storage: Any) -> Any:
    """Return the storage of labels with the roles in place of the keys of ``data_prefix``."""
    if not isinstance(storage, Mapping):
        return storage
    if unknown := set(storage) - set(ROLE_OF_KEY):
        raise ValueError(
            f'label_storage has the unknown keys {sorted(unknown)}, expected {tuple(ROLE_OF_KEY)}'
        )
    return {ROLE_OF_KEY[key]: one for key, one in storage.items()}


def by_role(suffix: Any, name: str, roles: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the suffixes of each role; a role that a dictionary lacks has '.png'."""
    if not isinstance(suffix, Mapping):
        return dict.fromkeys(roles, as_suffixes(suffix, name))
    if unknown := set(suffix) - set(roles):
        raise ValueError(f'{name} has the unknown keys {sorted(unknown)}, expected {roles}')
    return {role: as_suffixes(suffix.get(role, '.png'), f'{name}[{role!r}]') for role in roles}


def as_suffixes(suffix: Any, name: str) -> tuple[str, ...]:
    """Return one suffix or several; refuse those without a dot or another mark."""
    suffixes = (suffix,) if isinstance(suffix, str) else suffix
    listed = isinstance(suffixes, Sequence) and len(suffixes) > 0
    if not listed or not all(isinstance(one, str) and one for one in suffixes):
        raise ValueError(
            f"{name} has to be the ending of file names, like '.png', or a list of them, "
            f'got {suffix!r}'
        )
    for one in suffixes:
        if one.isalnum():
            raise ValueError(
                f"{name}={one!r} has no dot, so names of pairs would keep one; set {name}='.{one}'"
            )
    return tuple(suffixes)


def checked_pattern(pattern: Any) -> str | dict[str, str] | None:
    """Return a regular expression that compiles, or one for each role."""
    if isinstance(pattern, Mapping) and (unknown := set(pattern) - set(ROLES)):
        raise ValueError(f'key_pattern has the unknown keys {sorted(unknown)}, expected {ROLES}')
    for one in pattern.values() if isinstance(pattern, Mapping) else [pattern]:
        try:
            if one is not None:
                re.compile(one)
        except (re.error, TypeError) as error:
            raise ValueError(
                f'key_pattern has to be a regular expression, got {one!r}: {error}'
            ) from None
    return dict(pattern) if isinstance(pattern, Mapping) else pattern


def checked_indices(indices: Any) -> Any:
    """Return a number of pairs, or a list of their indices; None takes all."""
    numbers = list(indices) if isinstance(indices, Sequence) else [indices]
    fine = all(is_whole(one) for one in numbers)
    if indices is not None and (not numbers or not fine or indices == 0):
        raise ValueError(
            'indices has to be a number of pairs other than 0 (below 0 takes the last ones), or a '
            f'list of indices of pairs, got {indices!r}'
        )
    return indices


def as_size(value: Sequence[int] | int | None, name: str) -> tuple[int, int] | None:
    """Return (height, width) in pixels; one number is a square."""
    if value is None:
        return None
    size = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(size) != 2 or not all(is_whole(one) and one > 0 for one in size):
        raise ValueError(f'{name} has to be (height, width) of 1 pixel or more, got {value}')
    return int(size[0]), int(size[1])
