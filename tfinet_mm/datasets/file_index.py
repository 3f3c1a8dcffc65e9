"""Find the pairs of a data set: folders, list files, folds and windows."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, overload

from tfinet_mm.errors import UnmatchedPairError
from tfinet_mm.io.images import PathLike, Window

Name = TypeVar('Name', str, tuple[str, str])
SHOWN = 10
"""Number of names that an error lists before it only counts."""

ADVICE = (
    'Every pair needs a file of the same name (or matching by key_pattern) in each folder; '
    'add the missing files, or list the complete pairs in a file (ann_file)'
)


class FolderFiles(Mapping[str, str]):
    """Files of a folder: path by name, sorted by name.

    Paths are built on access, since the paths of a large data set would take more memory
    than everything else.

    Args:
        root: The folder.
        endings: Rest of the path after folder and name, by name.
        folders: Real paths of the folders of the files.
        links: Names of the files that are symbolic links.
    """

    def __init__(
        self, root: str, endings: dict[str, str], folders: frozenset[str], links: frozenset[str]
    ) -> None:
        """See the class."""
        self.prefix = os.path.join(root, '')
        self.folders = folders
        self.links = links
        self._endings = endings

    def __getitem__(self, name: str) -> str:
        """Return the path of a file."""
        return f'{self.prefix}{name}{self._endings[name]}'

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._endings)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._endings)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a file of this name."""
        return name in self._endings

    def keys(self) -> KeysView[str]:
        """Return the names as a view that compares fast."""
        return self._endings.keys()

    def ending(self, name: str) -> str:
        """Return the rest of the path of a file after folder and name."""
        return self._endings[name]


def list_folder(
    folder: PathLike, suffixes: Sequence[str], skipped: PathLike | None = None
) -> FolderFiles:
    """Return all files of a folder and its sub-folders that end in one of the suffixes.

    Args:
        folder: Folder to list.
        suffixes: Endings such as '.png', in upper or lower case. Hidden files are skipped, and
            so is ``lost+found``, which file systems create.
        skipped: Folder below that doesn't count, such as that of results.

    Returns:
        Path of each file by its name, sorted by name. The name is the path below the
        folder, with slashes and without the suffix.

    Raises:
        FileNotFoundError: There is no such folder, or no such file in it.
        PermissionError: A folder below can't be read.
        UnmatchedPairError: Two files differ in their suffix only.
    """
    root = os.fspath(folder)
    if not os.path.isdir(root):
        raise FileNotFoundError(f'no such folder: {root}')
    wanted = tuple(suffix.lower() for suffix in suffixes)
    endings: dict[str, str] = {}
    # Files with the same ending share one string.
    shared: dict[str, str] = {}
    links: set[str] = set()
    others: set[str] = set()
    named: list[str] = []
    real = os.path.realpath(root)
    left_out = None if skipped is None else os.path.realpath(skipped)
    seen = {real}
    waiting: list[tuple[str, str, frozenset[str]]] = [(root, '', frozenset([real]))]
    while waiting:
        where, below, reached = waiting.pop()
        with os.scandir(where) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith('.') or name == 'lost+found':
                    continue
                if _is_folder(entry):
                    if name.endswith(wanted):
                        named.append(entry.path)
                    real = os.path.realpath(entry.path)
                    # A link to a folder above it would be followed for ever.
                    if real not in reached and real != left_out:
                        seen.add(real)
                        waiting.append((entry.path, f'{below}{name}/', reached | {real}))
                    continue
                stem = strip_suffix(name, wanted)
                if stem is None:
                    others.add(os.path.splitext(name)[1])
                    continue
                ending = name[len(stem) :]
                stem = below + stem
                if stem in endings:
                    raise UnmatchedPairError(
                        f'{root} has two files of the name {stem!r}, which differ in their '
                        f'suffix: {stem}{endings[stem]} and {stem}{ending}; remove one'
                    )
                endings[stem] = shared.setdefault(ending, ending)
                if entry.is_symlink():
                    links.add(stem)
    if not endings:
        found = f'; it has files ending in {sorted(others)}' if others else ' nor any other file'
        if named:
            found = f'; {min(named)} is a folder'
        raise FileNotFoundError(f'{root} has no file ending in {tuple(suffixes)}{found}')
    in_order = {name: endings[name] for name in sorted(endings)}
    return FolderFiles(root, in_order, frozenset(seen), frozenset(links))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself, which is reported once its file is needed.
        return False


def strip_suffix(name: str, suffixes: Sequence[str]) -> str | None:
    """Return the name without its suffix, in upper or lower case; None if it ends in none."""
    lower = name.lower()
    for suffix in suffixes:
        if suffix and lower.endswith(suffix.lower()):
            return name[: -len(suffix)]
    return None


def read_list_file(path: PathLike) -> list[str]:
    """Return the names of a list file, one a line, without blank lines and those that start with #.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file isn't UTF-8 text, has no names, or names a pair twice.
    """
    if not isinstance(path, str | os.PathLike) or not os.path.isfile(path):
        raise FileNotFoundError(
            f'no such list file: {path}; correct ann_file, or leave it empty to take every file '
            'of the folders'
        )
    try:
        # Not splitlines, which also splits at characters that names of files may hold.
        lines = Path(path).read_text(encoding='utf-8-sig').split('\n')
    except UnicodeDecodeError:
        raise ValueError(
            f'the list file {path} is not text in UTF-8; save it as UTF-8, one name a line'
        ) from None
    names = [line.strip() for line in lines]
    names = [name for name in names if name and not name.startswith('#')]
    if not names:
        raise ValueError(f'the list file {path} has no names, expected one a line')
    if twice := repeated(names):
        raise ValueError(
            f'the list file {path} names {len(twice)} pairs more than once: {first_of(twice)}; '
            'name each pair once'
        )
    return names


def repeated(names: Sequence[Name]) -> list[Name]:
    """Return the names that occur more than once, sorted."""
    if len(set(names)) == len(names):
        return []
    return sorted(name for name, number in Counter(names).items() if number > 1)


def select_listed(
    names: Sequence[str], available: Mapping[str, str], suffixes: Sequence[str], path: PathLike
) -> list[str]:
    """Return the keys of ``available`` that a list file names, with or without suffix.

    Letters with accents may be composed or decomposed (NFC, NFD), both in the list and in the
    names of files. The list may omit blanks at the ends of a name.

    Raises:
        UnmatchedPairError: A listed name has no file.
        ValueError: Two of the listed names mean the same file.
    """
    composed: dict[str, str] | None = None
    selected, missing = [], []
    for name in names:
        name = name.removeprefix('./')
        stripped = strip_suffix(name, suffixes)
        if name in available:
            selected.append(name)
            continue
        if stripped is not None and stripped in available:
            selected.append(stripped)
            continue
        if composed is None:
            composed = _composed(available)
        for one in (name, stripped):
            if one is not None and _nfc(one) in composed:
                selected.append(composed[_nfc(one)])
                break
        else:
            missing.append(name)
    if twice := repeated(selected):
        raise ValueError(
            f'the list file {path} names {len(twice)} pairs more than once, with and without '
            f'suffix or "./": {first_of(twice)}; name each pair once'
        )
    if missing:
        raise UnmatchedPairError(
            f'{len(missing)} of the {len(names)} names in {path} have no file in the folder of '
            f'the images: {first_of(missing)}; names are paths below that folder, for example '
            f'{next(iter(available))!r}'
        )
    return selected


def _nfc(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize('NFC', name)


def _composed(names: Iterable[str]) -> dict[str, str]:
    """Return names by their composed form without blanks at the ends, where it is unique."""
    found: dict[str, str] = {}
    twice = set()
    for name in names:
        key = _nfc(name).strip()
        if key in found:
            twice.add(key)
        found[key] = name
    return {key: name for key, name in found.items() if key not in twice}


class MatchedPairs(Sequence[dict[str, str]]):
    """Pairs of files, each a dictionary that is made on access.

    Attributes:
        names: Name of each pair, that of its file in the first folder.
        keys: Part of the names by which the files of each pair were matched.
        folders: Files of each role by their own names.
    """

    def __init__(
        self,
        names: list[str],
        keys: list[str],
        folders: Mapping[str, Mapping[str, str]],
        keyed: Mapping[str, Mapping[str, str] | None],
    ) -> None:
        """Keep names and keys of the pairs, and the names by key of the roles where they differ."""
        self.names = names
        self.folders = folders
        self.keys = keys
        self._keyed = keyed
        self._real: dict[str, list[str]] = {}

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> dict[str, str]: ...

    @overload
    def __getitem__(self, index: slice) -> MatchedPairs: ...

    def __getitem__(self, index: int | slice) -> dict[str, str] | MatchedPairs:
        """Return the path in each role, and ``name``; for a slice, the pairs."""
        if isinstance(index, slice):
            return MatchedPairs(self.names[index], self.keys[index], self.folders, self._keyed)
        return {
            'name': self.names[index],
            **{role: files[self.own_name(index, role)] for role, files in self.folders.items()},
        }

    def own_name(self, index: int, role: str) -> str:
        """Return the name of a pair's file in the folder of a role."""
        key, keyed = self.keys[index], self._keyed[role]
        return key if keyed is None else keyed[key]

    def choose(self, names: Iterable[str]) -> MatchedPairs:
        """Return the pairs of these names, in the order of the pairs."""
        wanted = set(names)
        indices = [index for index, name in enumerate(self.names) if name in wanted]
        return MatchedPairs(
            [self.names[index] for index in indices],
            [self.keys[index] for index in indices],
            self.folders,
            self._keyed,
        )

    def missing_links(self) -> list[str]:
        """Return the paths of links to missing files."""
        return [
            path
            for role, files in self.folders.items()
            if isinstance(files, FolderFiles) and files.links
            for index in range(len(self))
            if (name := self.own_name(index, role)) in files.links
            and not os.path.exists(path := files[name])
        ]

    def one_file(self, first: str, second: str) -> list[int]:
        """Return the indices of the pairs that have the same file in two roles, links followed."""
        folders = [self.folders[role] for role in (first, second)]
        if all(isinstance(files, FolderFiles) for files in folders):
            one, two = (files for files in folders if isinstance(files, FolderFiles))
            if not (one.links or two.links or one.folders & two.folders):
                return []
        found = zip(self._real_paths(first), self._real_paths(second), strict=True)
        return [index for index, (one, two) in enumerate(found) if one == two]

    def _real_paths(self, role: str) -> list[str]:
        """Return the path of each pair's file in a role, links followed."""
        if role not in self._real:
            files = self.folders[role]
            folders: dict[str, str] = {}
            paths = []
            for index in range(len(self)):
                name = self.own_name(index, role)
                path = files[name]
                if isinstance(files, FolderFiles) and name not in files.links:
                    where, _, last = path.rpartition(os.sep)
                    if where not in folders:
                        folders[where] = os.path.realpath(where)
                    paths.append(os.path.join(folders[where], last))
                else:
                    paths.append(os.path.realpath(path))
            self._real[role] = paths
        return self._real[role]


def match_folders(
    folders: Mapping[str, Mapping[str, str]],
    key_pattern: str | Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    advice: str = ADVICE,
) -> MatchedPairs:
    """Match the files of several folders by their names.

    Names are compared in their composed Unicode form (NFC), unless two files of a folder
    differ in that form only.

    Args:
        folders: Files by name for each role, as :func:`list_folder` returns them; the
            first role is that of the images before.
        key_pattern: Regular expression of the part to remove from the names before
            they are matched (a year, a resolution). A dictionary has one for each
            role; files whose names the pattern doesn't match don't belong to the role.
        only: Names in the first folder to match, by default all names of all
            folders. If given, files of other names are skipped.
        advice: End of the message about missing names.

    Returns:
        The pairs, each with the path in each role and ``name``, the name in the first
        folder. Sorted by name, or in the order of ``only``.

    Raises:
        UnmatchedPairError: A name is missing in a folder; the message counts the missing
            names and lists the first ones.
    """
    first = next(iter(folders))
    patterns = {
        role: key_pattern.get(role) if isinstance(key_pattern, Mapping) else key_pattern
        for role in folders
    }
    chooses = isinstance(key_pattern, Mapping)
    normal = all(_forms_differ_in_more(files) for files in folders.values())
    keyed: dict[str, Mapping[str, str] | None] = {
        role: _by_key(role, files, patterns[role], chooses, normal)
        for role, files in folders.items()
    }
    names = sorted(folders[first]) if only is None else list(only)
    own = keyed[first]
    if own is None:
        keys = names
    else:
        by_name = {name: key for key, name in own.items()}
        if only is None:
            names = [name for name in names if name in by_name]
        elif foreign := [name for name in names if name not in by_name]:
            raise UnmatchedPairError(
                f'{first}: its key_pattern {patterns[first]!r} does not match {first_of(foreign)}; '
                'correct the pattern, or list other names'
            )
        keys = [by_name[name] for name in names]
    known = {role: (folders[role] if one is None else one).keys() for role, one in keyed.items()}
    if only is not None:
        everything: set[str] = set(keys)
    elif all(view == known[first] for view in known.values()):
        everything = set()
    else:
        everything = set().union(*known.values())
    missing = {role: absent for role, view in known.items() if (absent := everything - view)}
    if missing:
        total = len(set().union(*missing.values()))
        listed = '; '.join(
            f'{role} lacks {first_of(sorted(absent))}' for role, absent in missing.items()
        )
        raise UnmatchedPairError(
            f'{total} names are not in every folder of the data set: {listed}. {advice}'
        )
    return MatchedPairs(names, keys, folders, keyed)


def _forms_differ_in_more(files: Mapping[str, str]) -> bool:
    """Return True unless two names differ in their Unicode form only."""
    forms = {name: _nfc(name) for name in files if not name.isascii()}
    repeated = len(set(forms.values())) < len(forms)
    return not repeated and all(form == name or form not in files for name, form in forms.items())


def keyed_names(
    role: str, files: Mapping[str, str], key_pattern: str | Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the names of a role's files by the part by which :func:`match_folders` matches them.

    Args:
        role: The role, for patterns and messages.
        files: Files by name.
        key_pattern: As for :func:`match_folders`.

    Raises:
        UnmatchedPairError: Two names have one part, or the pattern matches no name.
    """
    chooses = isinstance(key_pattern, Mapping)
    pattern = key_pattern.get(role) if isinstance(key_pattern, Mapping) else key_pattern
    keyed = _by_key(role, files, pattern, chooses, _forms_differ_in_more(files))
    return {name: name for name in files} if keyed is None else keyed


def _by_key(
    role: str, files: Mapping[str, str], pattern: str | None, chooses: bool, normal: bool
) -> dict[str, str] | None:
    """Return the names by their keys for matching; None if the names are the keys."""
    if pattern is None and (
        not normal or all(name.isascii() or _nfc(name) == name for name in files)
    ):
        return None
    compiled = re.compile(pattern) if pattern else None
    keyed: dict[str, str] = {}
    for name in files:
        key = _nfc(name) if normal else name
        if compiled is not None:
            key, number = compiled.subn('', key)
            if chooses and not number:
                continue
        if key in keyed:
            raise UnmatchedPairError(
                f'{role}: the files {files[keyed[key]]} and {files[name]} have the same name '
                f'{key!r} once key_pattern {pattern!r} is removed; make the pattern match less, '
                'or, if one folder holds both dates, give each role its own: '
                "key_pattern=dict(img_path_from='_pre', img_path_to='_post', ...)"
            )
        keyed[key] = name
    if not keyed:
        raise UnmatchedPairError(
            f'{role}: its key_pattern {pattern!r} is found in none of {len(files)} names, such as '
            f'{next(iter(files))!r}; correct the pattern'
        )
    return keyed


def fold_members(sources: Sequence[str], every: int, start: int | Sequence[int] = 0) -> set[str]:
    """Return the names that a fold holds out: every n-th in sorted order.

    Args:
        sources: Names, in any order, repeated where several pairs show one scene.
        every: Distance between the names held out, 2 or more.
        start: Index of the first name held out, or several of them.

    Raises:
        ValueError: ``every`` is below 2, or a start isn't in 0 .. every - 1.

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


def listed_members(
    sources: Sequence[str], path: PathLike, suffixes: Sequence[str], what: str
) -> set[str]:
    """Return the names that a fold by a list holds out.

    Args:
        sources: Names, repeated where several pairs show one scene.
        path: List file with the names held out, with or without suffix; relative to the current
            directory.
        suffixes: Suffixes that the names may end in.
        what: The data set, for messages.

    Raises:
        FileNotFoundError, ValueError: There is no such file, or it can't be read.
        UnmatchedPairError: A listed name is no pair of the data set.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"no such list file: {path}; correct the fold's names, a path relative to the current "
            'directory'
        )
    listed = read_list_file(path)
    known = dict.fromkeys(sources, '')
    try:
        return set(select_listed(listed, known, suffixes, path))
    except UnmatchedPairError as error:
        raise UnmatchedPairError(
            f'{error}. {what} has {len(known)} pairs, and the fold needs all that its list names; '
            'complete the download, or take the list of this data set'
        ) from None


def tile_windows(
    width: int, height: int, window: tuple[int, int], stride: tuple[int, int], edge: str = 'shift'
) -> Iterator[Window]:
    """Yield the windows that cover a tile, row by row.

    Args:
        width: Width of the tile in pixels.
        height: Height of the tile in pixels.
        window: (height, width) of a window in pixels; a smaller tile is one window of its size.
        stride: (vertical, horizontal) distance between windows in pixels.
        edge: Treatment of the last window where it would reach over the border:
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


def first_of(names: Sequence[str]) -> str:
    """Return the first names of a list, and their number if there are more, for a message."""
    listed = ', '.join(repr(name) for name in names[:SHOWN])
    return f'{listed} ({len(names)} in all)' if len(names) > SHOWN else listed
