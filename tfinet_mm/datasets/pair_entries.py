"""Keep the entries of a data set as names, and make each on access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from tfinet_mm.datasets.file_index import FolderFiles, MatchedPairs
from tfinet_mm.datasets.roles import CHANGE_ROLE, IMAGE_ROLES, SEMANTIC_ROLES

RECORD = 'record'


class PairEntries(Sequence[dict[str, Any]]):
    """Entries of whole images, each made on access.

    Args:
        pairs: Files of each pair.
    """

    def __init__(self, pairs: MatchedPairs) -> None:
        """See the class."""
        self.pairs = pairs

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> PairEntries: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | PairEntries:
        """Return an entry; for a slice, the entries."""
        if isinstance(index, slice):
            return PairEntries(self.pairs[index])
        pair = self.pairs[index]
        return pair_entry(pair['name'], pair)

    def record(self, index: int) -> dict[str, Any]:
        """Return a record for :func:`read_record`, without folders and with each name once."""
        name = self.pairs.names[index]
        files = {}
        for role, folder in self.pairs.folders.items():
            own = self.pairs.own_name(index, role)
            assert isinstance(folder, FolderFiles)
            files[role] = (None if own == name else own, folder.ending(own))
        return {RECORD: (name, tuple(files.values()))}


def read_record(record: tuple[Any, ...], prefixes: Mapping[str, str]) -> dict[str, Any]:
    """Return the entry of a record.

    Args:
        record: Record from :meth:`PairEntries.record`.
        prefixes: Folder of each role, with a slash at the end, in the order of the record.
    """
    name, files = record
    paths = {
        role: f'{prefix}{name if own is None else own}{ending}'
        for (role, prefix), (own, ending) in zip(prefixes.items(), files, strict=True)
    }
    return pair_entry(name, paths)


def pair_entry(name: str, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return the entry of a pair of whole images, from the path of each role."""
    return dict(
        img_path=[paths[role] for role in IMAGE_ROLES],
        sample_id=name,
        window=None,
        **{role: paths.get(role) for role in (CHANGE_ROLE, *SEMANTIC_ROLES)},
    )


def window_name(name: str, window: Sequence[int]) -> str:
    """Return the name of a window of a pair, from that of the pair.

    Example:
        >>> window_name('bj/12', (512, 0, 256, 256))
        'bj/12_x512_y0'
    """
    left, top = window[:2]
    return f'{name}_x{left}_y{top}'
