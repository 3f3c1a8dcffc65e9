"""Find pairs that file names alone don't make: paths in a list file, places of several dates."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, overload

from tfinet_mm.datasets.file_index import (
    FolderFiles,
    first_of,
    keyed_names,
    match_folders,
    read_list_file,
    repeated,
)
from tfinet_mm.errors import UnmatchedPairError
from tfinet_mm.io.images import PathLike

BEFORE, AFTER = '{before}', '{after}'
"""Placeholders in folders, suffixes and patterns, which stand for the dates of a pair."""


class ListedPairs(Sequence[dict[str, str]]):
    """Pairs of files, each with paths of its own.

    Args:
        pairs: Path in each role, and ``name``, for each pair.
        places: The place that each pair shows; pairs of one place are on one side of a fold.
    """

    def __init__(self, pairs: Sequence[dict[str, str]], places: Sequence[str]) -> None:
        """See the class."""
        self._pairs = pairs
        self._places = places

    @property
    def names(self) -> list[str]:
        """Return the name of each pair."""
        return [pair['name'] for pair in self._pairs]

    @property
    def places(self) -> dict[str, str]:
        """Return the place that each pair shows, by the name of the pair."""
        return dict(zip(self.names, self._places, strict=True))

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._pairs)

    @overload
    def __getitem__(self, index: int) -> dict[str, str]: ...

    @overload
    def __getitem__(self, index: slice) -> ListedPairs: ...

    def __getitem__(self, index: int | slice) -> dict[str, str] | ListedPairs:
        """Return the path in each role, and ``name``; for a slice, the pairs."""
        if isinstance(index, slice):
            return ListedPairs(self._pairs[index], self._places[index])
        return self._pairs[index]

    def choose(self, names: Iterable[str]) -> ListedPairs:
        """Return the pairs of these names, in the order of the pairs."""
        wanted = set(names)
        chosen = [index for index, name in enumerate(self.names) if name in wanted]
        return ListedPairs(
            [self._pairs[index] for index in chosen], [self._places[index] for index in chosen]
        )

    def missing_links(self) -> list[str]:
        """Return the paths of links to missing files."""
        paths = [path for pair in self._pairs for role, path in pair.items() if role != 'name']
        return [path for path in paths if os.path.islink(path) and not os.path.exists(path)]

    def one_file(self, first: str, second: str) -> list[int]:
        """Return the indices of the pairs that have the same file in two roles, links followed."""
        real = os.path.realpath
        return [
            index
            for index, pair in enumerate(self._pairs)
            if real(pair[first]) == real(pair[second])
        ]


# ------------------------------------------------------------------------------ columns of a list


def checked_columns(columns: Any, roles: Sequence[str], ann_file: str) -> tuple[Any, ...] | None:
    """Return the roles of the columns of a list file; None if its lines are names.

    Args:
        columns: Role of each column, or None for a column to skip.
        roles: All roles, the images of both dates first.
        ann_file: The list file.

    Raises:
        ValueError: A role is unknown or named twice, an image is missing, or there is no list file.
    """
    if columns is None:
        return None
    listed = isinstance(columns, Sequence) and not isinstance(columns, str)
    named = [one for one in columns if one is not None] if listed else []
    if not listed or repeated(named) or set(named) - set(roles) or not set(roles[:2]) <= set(named):
        raise ValueError(
            f'ann_columns has to be the roles of the columns of ann_file, each once and of '
            f'{tuple(roles)} (None skips a column), with both images, got {columns!r}'
        )
    if not ann_file:
        raise ValueError('ann_columns names the columns of a list file; set ann_file as well')
    return tuple(columns)


def read_columns(
    path: PathLike, columns: Sequence[str | None], folders: Mapping[str, str]
) -> ListedPairs:
    """Return the pairs of a list file whose lines are paths, one column for each role.

    Columns are separated by a tab, a comma, or blanks, whichever of these the first line has;
    further columns are skipped. Paths are below the folder of their role, with or without a slash
    in front. A pair is named after its image before, with the parts in which the path of the image
    after differs: ``imgs/bj/t1/12-t2``. Pairs whose images share all other parts show one place.

    Args:
        path: The list file.
        columns: Role of each column, None for a column to skip.
        folders: Folder of each role, the images first; columns of other roles are skipped.

    Raises:
        FileNotFoundError: There is no such list file.
        ValueError: A line has too few columns, or two lines name the same images.
        UnmatchedPairError: Listed files don't exist; the message counts them.
    """
    lines = read_list_file(path)
    separator = next((mark for mark in ('\t', ',') if mark in lines[0]), None)
    images = list(folders)[:2]
    before, after = (columns.index(role) for role in images)
    pairs, places, missing = [], [], []
    for line in lines:
        cells = [cell.strip().lstrip('/') for cell in line.split(separator)]
        if len(cells) < len(columns):
            raise ValueError(
                f'the list file {path} has the line {line!r} of {len(cells)} columns, expected '
                f'{len(columns)}: {tuple(columns)}; correct ann_columns, or the line'
            )
        name, place = _name_and_place(cells[before], cells[after])
        named = {role: cell for role, cell in zip(columns, cells, strict=False) if role is not None}
        labels = [cell for role, cell in named.items() if role not in images]
        # One file of transitions or of several bands serves more roles than it has columns.
        files = {
            role: os.path.join(folder, named[role] if role in named else labels[0])
            for role, folder in folders.items()
        }
        missing += [file for file in files.values() if not os.path.lexists(file)]
        pairs.append({'name': name, **files})
        places.append(place)
    if twice := repeated([pair['name'] for pair in pairs]):
        raise ValueError(
            f'the list file {path} names the images of {len(twice)} pairs more than once: '
            f'{first_of(twice)}; name each pair once'
        )
    if missing:
        raise UnmatchedPairError(
            f'{len(missing)} files named in {path} do not exist: {first_of(missing)}; paths are '
            'below data_root (and data_prefix, if it names a folder)'
        )
    return ListedPairs(pairs, places)


def _name_and_place(before: str, after: str) -> tuple[str, str]:
    """Return the name of a pair and its place, from the paths of its images.

    Example:
        >>> _name_and_place('imgs/bj/t1/12.jpg', 'imgs/bj/t3/12.jpg')
        ('imgs/bj/t1/12-t3', 'imgs/bj/12')
    """
    first, second = (PurePosixPath(path).with_suffix('').parts for path in (before, after))
    if len(first) != len(second):
        return '-'.join(('/'.join(first), *second)), '/'.join(first)
    other = [b for a, b in zip(first, second, strict=True) if a != b]
    shared = [a for a, b in zip(first, second, strict=True) if a == b]
    return '-'.join(('/'.join(first), *other)), '/'.join(shared) or '/'.join(first)


# --------------------------------------------------------------------------------- pairs of dates


def checked_dates(dates: Any) -> list[tuple[str, str]] | None:
    """Return pairs of dates as tuples of two strings; None if there are none.

    Raises:
        ValueError: They aren't pairs of two strings, or one pair occurs twice.
    """
    if dates is None:
        return None
    listed = isinstance(dates, Sequence) and not isinstance(dates, str) and len(dates) > 0
    if not listed or not all(
        isinstance(pair, Sequence)
        and not isinstance(pair, str)
        and len(pair) == 2
        and all(isinstance(date, str) and date for date in pair)
        and pair[0] != pair[1]
        for pair in dates
    ):
        raise ValueError(
            "dates has to be a list of pairs of two dates, like [('2015', '2016'), "
            f"('2016', '2018')], got {dates!r}"
        )
    pairs = [(str(before), str(after)) for before, after in dates]
    if twice := repeated(pairs):
        raise ValueError(f'dates has the pair {twice[0]} twice; name each pair once')
    return pairs


def filled(value: Any, dates: tuple[str, str]) -> Any:
    """Return a folder, suffix or pattern, or a container of them, for one pair of dates.

    Example:
        >>> filled({'img_path_from': 'imgs/{before}', 'img_path_to': 'imgs/{after}'}, ('15', '18'))
        {'img_path_from': 'imgs/15', 'img_path_to': 'imgs/18'}
    """
    if isinstance(value, str):
        return value.replace(BEFORE, dates[0]).replace(AFTER, dates[1])
    if isinstance(value, Mapping):
        return {key: filled(one, dates) for key, one in value.items()}
    return type(value)(filled(one, dates) for one in value) if isinstance(value, tuple) else value


def match_dates(
    dates: Sequence[tuple[str, str]],
    prefixes: Mapping[str, str],
    suffixes: Mapping[str, tuple[str, ...]],
    key_pattern: str | Mapping[str, str] | None,
    listing: Callable[[str, str, tuple[str, ...]], FolderFiles],
    ann_file: str = '',
) -> ListedPairs:
    """Return the pairs of places that have images of several dates.

    Folders, suffixes and patterns hold ``{before}`` and ``{after}`` in place of the dates. For
    each pair of dates, the files are matched as :func:`match_folders` does; the matched part of
    the names is the place. A pair is named after its place and dates: ``HS_0_15_18``.

    Args:
        dates: Pairs of dates, before and after.
        prefixes: Folder of each role; that of the images before is the first.
        suffixes: Suffixes of the files of each role.
        key_pattern: As for :func:`match_folders`.
        listing: Function that lists a folder, from its role, path and suffixes.
        ann_file: List file of the places to take, one a line; empty takes all.

    Raises:
        UnmatchedPairError: A file is missing for a pair of dates, or a listed place has no image.
        ValueError: Two pairs get one name, or nothing depends on the dates.
    """
    stated = repr((prefixes, suffixes, key_pattern))
    if BEFORE not in stated or AFTER not in stated:
        raise ValueError(
            f'dates are given, but {BEFORE} or {AFTER} is in no folder of data_prefix, no suffix '
            "and no key_pattern; put them in place of the date, as in img_path_from='im_{before}'"
        )
    wanted = read_list_file(ann_file) if ann_file else None
    listed: dict[tuple[str, tuple[str, ...]], FolderFiles] = {}
    pairs: list[dict[str, str]] = []
    places: list[str] = []
    for pair in dates:
        folders = {}
        for role, prefix in prefixes.items():
            key = filled(prefix, pair), filled(suffixes[role], pair)
            if key not in listed:
                listed[key] = listing(role, *key)
            folders[role] = listed[key]
        patterns = filled(key_pattern, pair)
        only = None
        if wanted is not None:
            first = next(iter(folders))
            known = keyed_names(first, folders[first], patterns)
            if unknown := [place for place in wanted if place not in known]:
                raise UnmatchedPairError(
                    f'{len(unknown)} of the {len(wanted)} places in {ann_file} have no image of '
                    f'{pair[0]!r}: {first_of(unknown)}; with dates, a list names places, for '
                    f'example {next(iter(known))!r}'
                )
            only = [known[place] for place in wanted]
        matched = match_folders(folders, patterns, only)
        suffix = ''.join(f'_{re.sub("[^0-9A-Za-z]+", "-", date)}' for date in pair)
        for index, place in enumerate(matched.keys):
            pairs.append({**matched[index], 'name': place + suffix})
            places.append(place)
    if twice := repeated([pair['name'] for pair in pairs]):
        raise ValueError(
            f'{len(twice)} pairs have the name of another one, such as {twice[0]!r}; name dates '
            'that differ in letters or digits'
        )
    return ListedPairs(pairs, places)
