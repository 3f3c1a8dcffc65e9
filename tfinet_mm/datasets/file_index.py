"""Find the pairs of a data set: folders, list files, folds and windows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tfinet_mm.errors import UnmatchedPairError
from tfinet_mm.io.images import PathLike, Window

SHOWN = 10
"""Number of names that an error lists before it only counts."""


def list_folder(folder: PathLike, suffixes: Sequence[str]) -> dict[str, str]:
    """Return all files of a folder and its sub-folders that end in one of the suffixes.

    Args:
        folder: Where to look.
        suffixes: Endings such as '.png', of any case. Hidden files are left out.

    Returns:
        Path of each file by its name: the path below the folder, with slashes,
        without the suffix. Sorted by name.

    Raises:
        FileNotFoundError: There is no such folder, or no such file in it.
        UnmatchedPairError: Two files differ in their suffix only.
    """
    root = os.fspath(folder)
    if not os.path.isdir(root):
        raise FileNotFoundError(f'no such folder: {root}')
    wanted = tuple(suffix.lower() for suffix in suffixes)
    files: dict[str, str] = {}
    others: set[str] = set()
    named: list[str] = []
    above: dict[str, frozenset[str]] = {root: frozenset()}
    for where, folders, names in os.walk(root, followlinks=True):
        reached = above.pop(where) | {os.path.realpath(where)}
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        named += [os.path.join(where, name) for name in folders if name.endswith(wanted)]
        # A link to a folder above it would be followed for ever.
        folders[:] = [
            name for name in folders if os.path.realpath(os.path.join(where, name)) not in reached
        ]
        above.update((os.path.join(where, name), reached) for name in folders)
        below = os.path.relpath(where, root).replace(os.sep, '/')
        prefix = '' if below == '.' else f'{below}/'
        for name in names:
            if name.startswith('.'):
                continue
            stem = strip_suffix(name, wanted)
            if stem is None:
                others.add(os.path.splitext(name)[1])
                continue
            if prefix + stem in files:
                raise UnmatchedPairError(
                    f'{root} has two files of the name {prefix + stem!r}, which differ in their '
                    f'suffix: {files[prefix + stem]} and {name}; remove one'
                )
            files[prefix + stem] = os.path.join(where, name)
    if not files:
        found = f'; it has files ending in {sorted(others)}' if others else ' nor any other file'
        if named:
            found = f'; {named[0]} is a folder'
        raise FileNotFoundError(f'{root} has no file ending in {tuple(suffixes)}{found}')
    return dict(sorted(files.items()))


def strip_suffix(name: str, suffixes: Sequence[str]) -> str | None:
    """Return the name without the suffix it ends in (lower case), or None without any."""
    for suffix in suffixes:
        if suffix and name.lower().endswith(suffix.lower()):
            return name[: -len(suffix)]
    return None


def read_list_file(path: PathLike) -> list[str]:
    """Return the names of a list file: one a line, blank lines and lines from # on left out.

    Raises:
        FileNotFoundError: There is no such file; folders are never listed instead.
        ValueError: The file is no text, has no names, or one of them twice.
    """
    if not isinstance(path, str | os.PathLike) or not os.path.isfile(path):
        raise FileNotFoundError(
            f'no such list file: {path}; correct ann_file, or leave it empty to take every file '
            'of the folders'
        )
    try:
        lines = Path(path).read_text(encoding='utf-8-sig').splitlines()
    except UnicodeDecodeError:
        raise ValueError(
            f'the list file {path} is no text in UTF-8; save it as UTF-8, one name a line'
        ) from None
    names = [line.strip() for line in lines]
    names = [name for name in names if name and not name.startswith('#')]
    if not names:
        raise ValueError(f'the list file {path} has no names, expected one a line')
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            f'the list file {path} names {len(twice)} pairs more than once: {_some(twice)}'
        )
    return names


def select_listed(
    names: Sequence[str], available: Mapping[str, str], suffixes: Sequence[str], path: PathLike
) -> list[str]:
    """Return the keys of ``available`` that a list file names, with or without suffix.

    Raises:
        UnmatchedPairError: Some have no file.
        ValueError: Two of the names mean one file.
    """
    selected, missing = [], []
    for name in names:
        name = name.removeprefix('./')
        stripped = strip_suffix(name, suffixes)
        if name in available:
            selected.append(name)
        elif stripped in available:
            selected.append(str(stripped))
        else:
            missing.append(name)
    if len(set(selected)) < len(selected):
        twice = sorted({name for name in selected if selected.count(name) > 1})
        raise ValueError(
            f'the list file {path} names {len(twice)} pairs more than once, with and without '
            f'suffix or "./": {_some(twice)}'
        )
    if missing:
        raise UnmatchedPairError(
            f'{len(missing)} of the {len(names)} names in {path} have no file in the folder of '
            f'the images: {_some(missing)}; names are paths below that folder, for example '
            f'{next(iter(available))!r}'
        )
    return selected


def match_folders(
    folders: Mapping[str, Mapping[str, str]],
    key_pattern: str | None = None,
    only: Sequence[str] | None = None,
) -> list[dict[str, str]]:
    """Bring the files of several folders together by their names.

    Args:
        folders: For each role (first one: the images before) the files by name,
            as :func:`list_folder` gives them.
        key_pattern: Regular expression; what it matches is taken out of the
            names before they are compared (a year, a resolution).
        only: Names in the first folder to bring together, by default all of
            every folder. Files of other names are no error then.

    Returns:
        For each pair the path in each role, and ``name``, that of the first
        folder. Sorted by name, or in the order of ``only``.

    Raises:
        UnmatchedPairError: A name is missing in a folder; all are counted and
            the first ones listed.
    """
    first = next(iter(folders))
    keyed = {role: _by_key(role, files, key_pattern) for role, files in folders.items()}
    if only is None:
        wanted = [(name, _key(name, key_pattern)) for name in sorted(folders[first])]
        everything = set().union(*keyed.values())
    else:
        wanted = [(name, _key(name, key_pattern)) for name in only]
        everything = {key for _, key in wanted}
    missing = {
        role: sorted(everything - set(files))
        for role, files in keyed.items()
        if everything - set(files)
    }
    if missing:
        total = len(set().union(*missing.values()))
        listed = '; '.join(f'{role} lacks {_some(names)}' for role, names in missing.items())
        raise UnmatchedPairError(
            f'{total} names are not in every folder of the data set: {listed}. Every pair needs a '
            'file of the same name (or matching by key_pattern) in each folder; complete them, or '
            'list the whole pairs in a file (ann_file)'
        )
    return [
        {'name': name, **{role: files[key][1] for role, files in keyed.items()}}
        for name, key in wanted
    ]


def _key(name: str, pattern: str | None) -> str:
    return re.sub(pattern, '', name) if pattern else name


def _by_key(role: str, files: Mapping[str, str], pattern: str | None) -> dict[str, tuple[str, str]]:
    keyed: dict[str, tuple[str, str]] = {}
    for name, path in files.items():
        key = _key(name, pattern)
        if key in keyed:
            raise UnmatchedPairError(
                f'{role}: the files {keyed[key][1]} and {path} have the same name {key!r} once '
                f'key_pattern {pattern!r} is taken out; make it match less'
            )
        keyed[key] = (name, path)
    return keyed


def fold_members(sources: Sequence[str], every: int, start: int | Sequence[int] = 0) -> set[str]:
    """Return the names that a regular split holds out: every n-th in sorted order.

    Args:
        sources: Names, in any order, repeated where several pairs show one scene.
        every: Distance of the names held out.
        start: Index of the first, or several of them.

    Raises:
        ValueError: ``every`` is under 2, or a start not in 0 .. every - 1.

    Example:
        >>> sorted(fold_members(['e', 'd', 'c', 'b', 'a'], every=2, start=1))
        ['b', 'd']
    """
    starts = [start] if isinstance(start, int) else list(start)
    if every < 2 or not starts or any(not 0 <= first < every for first in starts):
        raise ValueError(
            f'a fold needs every >= 2 and start in 0 .. every - 1, got every={every}, start={start}'
        )
    names = sorted(set(sources))
    return {name for first in starts for name in names[first::every]}


def tile_windows(
    width: int, height: int, window: tuple[int, int], stride: tuple[int, int], edge: str = 'shift'
) -> Iterator[Window]:
    """Windows that cover a tile, row by row.

    Args:
        width: Width of the tile in pixels.
        height: Height of the tile in pixels.
        window: (height, width) of a window; a smaller tile is one window of its size.
        stride: (vertical, horizontal) distance of windows.
        edge: What to do where the last window would reach over the border:
            'shift' moves it inwards, so that windows overlap; 'drop' leaves it out.

    Example:
        >>> [tuple(box) for box in tile_windows(10, 4, (4, 4), (4, 4))]
        [(0, 0, 4, 4), (4, 0, 4, 4), (6, 0, 4, 4)]
    """
    for top in _offsets(height, window[0], stride[0], edge):
        for left in _offsets(width, window[1], stride[1], edge):
            yield Window(left, top, min(window[1], width), min(window[0], height))


def _offsets(length: int, window: int, stride: int, edge: str) -> list[int]:
    if length <= window:
        return [0]
    offsets = list(range(0, length - window + 1, stride))
    if edge == 'shift' and offsets[-1] + window < length:
        offsets.append(length - window)
    return offsets


def _some(names: Sequence[str]) -> str:
    listed = ', '.join(repr(name) for name in names[:SHOWN])
    return f'{listed} ({len(names)} in all)' if len(names) > SHOWN else listed
