"""Refuse pairs whose files are missing, or are read in two roles."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from tfinet_mm.datasets.file_index import MatchedPairs
from tfinet_mm.datasets.pair_lists import ListedPairs
from tfinet_mm.datasets.roles import IMAGE_ROLES, ROLE_OF_KEY, SEMANTIC_ROLES
from tfinet_mm.io.label_files import read_stored_label


def check_files(
    pairs: MatchedPairs | ListedPairs,
    folders: Mapping[str, str],
    may_share: Callable[[str, str], bool],
    name: str,
) -> None:
    """Refuse links to missing files, and pairs that read one file in two roles.

    Args:
        pairs: Files of each pair.
        folders: Folder of each role.
        may_share: Returns whether two roles may read one file.
        name: Name of the data set in messages.

    Raises:
        FileNotFoundError: A link leads nowhere.
        ValueError: A file is read in two roles that must not share it.
    """
    if missing := pairs.missing_links():
        raise FileNotFoundError(
            f'{len(missing)} files of {name} are links to missing files, '
            f'such as {missing[0]} -> {os.readlink(missing[0])}; fetch them, or correct '
            'the links'
        )
    for first, second in combinations(folders, 2):
        if may_share(first, second):
            continue
        indices = pairs.one_file(first, second)
        if not {first, second} & set(IMAGE_ROLES):
            # Data versioning stores equal files once, such as all labels without change.
            known: dict[str, bool] = {}
            indices = [
                index
                for index in indices
                if len(indices) == len(pairs) or not _is_constant(pairs[index][first], known)
            ]
        if indices:
            raise ValueError(_one_file_message(pairs, folders, first, second, indices))


def _is_constant(path: str, known: dict[str, bool]) -> bool:
    """Return whether all pixels of a label file have one value, as without change."""
    real = os.path.realpath(path)
    if real not in known:
        pixels = read_stored_label(path).pixels
        known[real] = bool((pixels == pixels[:1, :1]).all())
    return known[real]


def _one_file_message(
    pairs: MatchedPairs | ListedPairs,
    folders: Mapping[str, str],
    first: str,
    second: str,
    indices: Sequence[int],
) -> str:
    roles = f'data_prefix {first} and {second}'
    if len({os.path.realpath(folders[role]) for role in (first, second)}) == 1:
        found = f'{roles} are the folder {folders[first]}'
    else:
        pair = pairs[indices[0]]
        found = (
            f'{roles} hold one file in {len(indices)} of {len(pairs)} pairs, such as '
            f'{pair[first]} and {pair[second]}'
        )
    what = {
        frozenset(IMAGE_ROLES): 'both dates would show the same images',
        frozenset(SEMANTIC_ROLES): 'both dates would have the same labels',
    }.get(frozenset((first, second)), 'one file would be read in two roles')
    bands = (
        ' If each is a band of one file, set label_bands.'
        if {first, second} <= set(ROLE_OF_KEY)
        else ''
    )
    return (
        f'{what}: {found}. Give each its own folder.{bands} If one folder holds both, select '
        f"the files by their suffix, as in img_suffix=dict({first}='_pre.png', "
        f"{second}='_post.png'), or by a key_pattern for each"
    )
