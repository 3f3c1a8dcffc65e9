"""Merge, rename and recolour the classes of a scene that is predicted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.structures import ClassTable


def read_merges(words: Sequence[str]) -> dict[str, str]:
    """Read rules ``CLASS[,CLASS ...]=NAME``.

    Returns:
        The new name of each class that is merged.

    Raises:
        SceneError: A word is no rule, or names a class twice.

    Example:
        >>> read_merges(['tree,low vegetation=plants'])
        {'tree': 'plants', 'low vegetation': 'plants'}
    """
    merges: dict[str, str] = {}
    for word in words:
        listed, _, name = word.rpartition('=')
        old = [one.strip() for one in listed.split(',')]
        if not name.strip() or not all(old):
            raise SceneError(
                f"merging takes CLASS=NAME or CLASS,CLASS=NAME, such as 'tree=low vegetation'; got "
                f'{word!r}'
            )
        if repeated := [one for one in old if one in merges]:
            raise SceneError(
                f'merging takes each class once, got {repeated[0]!r} again in {word!r}'
            )
        merges |= dict.fromkeys(old, name.strip())
    return merges


def merge_classes(table: ClassTable, merges: Mapping[str, str]) -> tuple[ClassTable, np.ndarray]:
    """Return the table of merged classes, and the new number of each class.

    A merged class takes the place of its first member. Its colour is that of the class whose name
    it has, or else that of the first member.

    Args:
        table: The K + 1 classes.
        merges: New names by class; other classes keep theirs.

    Returns:
        The table, and (K + 1,) uint8: the new number of each class 1..K, and 0 for 0.

    Raises:
        SceneError: There is no such class, or a new name is a list of classes.

    Example:
        >>> table = ClassTable(('same', 'tree', 'water', 'grass'), [(i, 0, 0) for i in range(4)])
        >>> merged, numbers = merge_classes(table, {'tree': 'grass'})
        >>> merged.names, merged.palette, numbers.tolist()
        (('same', 'grass', 'water'), ((0, 0, 0), (3, 0, 0), (2, 0, 0)), [0, 1, 2, 1])
    """
    _check_known(table.land_cover, merges, 'merging')
    for old, new in merges.items():
        listed = [one.strip() for one in new.split(',')]
        if len(listed) > 1 and set(listed) & set(table.land_cover):
            raise SceneError(
                f'merging gives {old!r} the name {new!r}, which lists classes; write those that '
                f"are merged in front of the name: '{old},{new}=NAME'"
            )
    colours = dict(zip(table.land_cover, table.palette[1:], strict=True))
    names = [merges.get(name, name) for name in table.land_cover]
    members = {name: old for name, old in reversed(list(zip(names, table.land_cover, strict=True)))}
    kept = list(dict.fromkeys(names))
    palette = [colours.get(name, colours[members[name]]) for name in kept]
    # A class may take the name of another one that itself gets a new name.
    if len(set(palette)) < len(palette):
        palette = [colours[members[name]] for name in kept]
    numbers = np.array([0, *(kept.index(name) + 1 for name in names)], np.uint8)
    return ClassTable((table.names[0], *kept), (table.palette[0], *palette)), numbers


def rename_classes(
    table: ClassTable,
    names: Mapping[str, str] | None = None,
    palette: Mapping[str, Sequence[int]] | None = None,
) -> ClassTable:
    """Return a table with other names and colours.

    Args:
        table: The classes.
        names: New names by name; other classes keep theirs.
        palette: RGB colours by name, new or old.

    Raises:
        SceneError: There is no such class, or names or colours repeat.
    """
    names, palette = dict(names or {}), dict(palette or {})
    if wrong := [new for new in names.values() if not isinstance(new, str)]:
        raise SceneError(f'the new name of a class must be text, got {wrong[0]!r}')
    _check_known(table.names, names, 'the new names')
    renamed = [names.get(name, name) for name in table.names]
    _check_known((*table.names, *renamed), palette, 'the palette')
    colours = [
        palette.get(new, palette.get(old, colour))
        for old, new, colour in zip(table.names, renamed, table.palette, strict=True)
    ]
    try:
        return ClassTable(renamed, colours)  # type: ignore[arg-type]
    except ValueError as error:
        raise SceneError(str(error)) from error


def read_by_name(path: Path) -> dict[str, Any]:
    """Read a JSON file of names or colours by name.

    Raises:
        FileNotFoundError: There is no such file.
        SceneError: It is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise SceneError(f'{path} is no JSON: {error}') from error
    if not isinstance(found, dict):
        raise SceneError(f'expected {path} to hold an object {{"name": ...}}, got {found!r}')
    return found


def _check_known(known: Sequence[str], found: Mapping[str, object], what: str) -> None:
    if wrong := [name for name in found if name not in known]:
        raise SceneError(
            f'{what} names a class {wrong[0]!r}, the scene has {", ".join(dict.fromkeys(known))}'
        )


def merged_cover(cover: np.ndarray, kept: np.ndarray | None, numbers: np.ndarray) -> np.ndarray:
    """Return the merged class of highest probability.

    Args:
        cover: (H, W) uint8, the likeliest class 1..K, 0 where not seen.
        kept: (5, H, W) uint8 of :mod:`tfinet_mm.scenes.probabilities`, whose probabilities are
            summed over the classes that are merged; None takes the class that ``cover`` is in.
        numbers: (K + 1,) uint8 of :func:`merge_classes`.

    Returns:
        (H, W) uint8, 0 where not seen.

    Example:
        >>> kept = np.array([110, 2, 80, 3, 60], np.uint8).reshape(5, 1, 1)
        >>> merged_cover(np.array([[1]], np.uint8), kept, np.array([0, 1, 2, 2], np.uint8))
        array([[2]], dtype=uint8)
    """
    first = numbers[cover]
    if kept is None:
        return first
    second, third = numbers[kept[1]], numbers[kept[3]]
    p_first, p_second, p_third = (kept[place].astype(np.uint16) for place in (0, 2, 4))
    # Only the second and the third class together can be likelier than the first.
    p_first += np.where(second == first, p_second, 0) + np.where(third == first, p_third, 0)
    p_second += np.where(third == second, p_third, 0)
    return np.where((second != first) & (p_second > p_first), second, first)
