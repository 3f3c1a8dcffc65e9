"""Score maps of any program against labels, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfinet_mm.datasets.annotations import (
    CHANGE,
    FROM,
    TO,
    LabelSpec,
    combine_semantic_change,
    to_land_cover,
)
from tfinet_mm.datasets.file_index import (
    list_folder,
    match_folders,
    read_list_file,
    select_listed,
)
from tfinet_mm.datasets.label_contract import decide_map_storage, decide_storage
from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.evaluation import PairCounts, PairedTest, SCDConfusion
from tfinet_mm.io.change_masks import read_change_mask
from tfinet_mm.io.label_storage import STATED_STORAGES
from tfinet_mm.io.labels import read_semantic_label
from tfinet_mm.structures import IGNORE_INDEX, ClassTable

SUFFIXES = ('.png', '.tif', '.tiff', '.bmp')
MASK_STORAGES = ('auto', '0/1', '0/255', 'palette')
ZEROS = ('unchanged', 'class', 'unknown')
DATES = (FROM, TO)
OPTIONS = {
    'labels': '--labels-storage and --labels-change-storage',
    'predictions': '--pred-storage and --pred-change-storage',
}
"""Options of ``tools/score_maps.py`` that state the storage of each side."""


@dataclass(frozen=True)
class MapFolders:
    """Folders of the maps of both dates, and the meaning of their values.

    Attributes:
        root: Folder that the others are relative to.
        folders: Folders of the maps before and after, and of change masks if there are any; or
            that of change masks alone.
        zero: Meaning of index 0: 'unchanged' (a class where something changed, 0 elsewhere);
            'class' (land cover of every pixel, 0 the first class, no colour of "unchanged");
            'unknown' (land cover of every pixel, 0 where it is unknown). The last two need
            change masks.
        storage: 'auto' (decided from all files), 'index', 'palette' or 'rgb', see
            :func:`~tfinet_mm.io.labels.read_semantic_label`.
        change_storage: 'auto' (decided from all files), '0/1', '0/255' or 'palette', see
            :func:`~tfinet_mm.io.change_masks.read_change_mask`.

    Raises:
        ValueError: An option has an unknown value, or change masks are missing.
    """

    root: Path
    folders: tuple[str, ...] = ('label1', 'label2')
    zero: str = 'unchanged'
    storage: str = 'auto'
    change_storage: str = 'auto'

    def __post_init__(self) -> None:
        """Check the options."""
        for name, value, known in (
            ('zero', self.zero, ZEROS),
            ('storage', self.storage, STATED_STORAGES),
            ('change_storage', self.change_storage, MASK_STORAGES),
        ):
            if value not in known:
                raise ValueError(f'{name} has to be one of {known}, got {value!r}')
        if len(self.folders) not in (1, 2, 3):
            raise ValueError(
                'expected the folders of the maps before and after, optionally also of change '
                f'masks, or that of change masks alone, got {self.folders}'
            )
        if self.zero != 'unchanged' and len(self.folders) == 2:
            raise ValueError(
                f'if 0 means {self.zero!r}, change can not be derived from the maps of '
                f'{self.root}; name the folder of its change masks as a third one after '
                f'{self.folders}'
            )

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the role of each folder: 'from', 'to', 'change'."""
        return (CHANGE,) if len(self.folders) == 1 else (*DATES, CHANGE)[: len(self.folders)]

    def list(self, role: str) -> dict[str, Mapping[str, str]]:
        """Return the files by name of each folder, under keys that begin with a role."""
        names = [f'{role} {part}' for part in self.parts]
        return {
            name: list_folder(self.root / folder, SUFFIXES)
            for name, folder in zip(names, self.folders, strict=True)
        }


class PairMaps(NamedTuple):
    """Maps of a pair, each (H, W).

    Attributes:
        change: 1 changed, 0 unchanged, 255 ignored.
        before: Classes of the first date, in the values that the reading function returns; None
            for change masks alone.
        after: Classes of the second date.
        odd: Number of pixels with a class on one date only.
    """

    change: np.ndarray
    before: np.ndarray | None
    after: np.ndarray | None
    odd: int


@dataclass
class MapScores:
    """Counts of maps against labels.

    Attributes:
        pairs: Counts of each pair, in the order of ``names``.
        counts: Sum of the counts of all pairs.
        names: Names of the pairs.
        storages: Storages found in the files of the predictions and of the labels.
        one_sided: Number of pixels with a class on one date only, in the predictions and in the
            labels; such pixels of labels are ignored.
    """

    pairs: PairCounts
    counts: SCDConfusion
    names: list[str] = field(default_factory=list)
    storages: dict[str, set[str]] = field(default_factory=dict)
    one_sided: dict[str, int] = field(default_factory=dict)


def count_maps(
    predictions: MapFolders,
    labels: MapFolders,
    table: ClassTable,
    key_pattern: str | None = None,
    list_file: str | Path | None = None,
    workers: int = 2,
) -> MapScores:
    """Count the predictions of every pair against its labels.

    Args:
        predictions: Folders of the predicted maps.
        labels: Folders of the annotated maps.
        table: Classes of both, index 0 for "unchanged".
        key_pattern: Regular expression of the part to remove from the names of files before
            they are matched.
        list_file: File with the names of the pairs to score, one a line; by default all.
        workers: Number of threads that read files.

    Returns:
        The counts of each pair in the order of their names, and their sum. If the labels are
        change masks alone, change alone is counted.

    Raises:
        FileNotFoundError: A folder is missing or has no maps.
        UnmatchedPairError: A name is missing in a folder.
        ValueError: Two of the folders hold the same files, or the predictions lack the land
            cover that the labels have.
        LabelFormatError: A file can't be read, or differs in size from another of its pair.
        LabelValueError: A file holds a value without a meaning.
    """
    if len(predictions.folders) == 1 < len(labels.folders):
        raise ValueError(
            f'the predictions in {predictions.root} are change masks alone, the labels have land '
            'cover too; name the folder of their change masks alone (--labels-folders DIR), or '
            'all folders of the predictions (--pred-folders)'
        )
    folders = {**labels.list('labels'), **predictions.list('predictions')}
    only = None
    if list_file is not None:
        known = folders[f'labels {labels.parts[0]}']
        only = select_listed(read_list_file(list_file), known, SUFFIXES, list_file)
    matched = match_folders(
        folders,
        key_pattern,
        only,
        advice='Every map needs labels of the same name, apart from its suffix, and vice versa; '
        'add the missing files, remove the differing part of the names with --key-pattern, '
        'or list the pairs to score in a file (--list)',
    )
    for first, second in combinations(folders, 2):
        if len(matched.one_file(first, second)) == len(matched):
            pair = matched[0]
            raise ValueError(
                f'{first} and {second} are the same files, such as {pair[first]} and '
                f'{pair[second]}; give each its own folder (--pred-folders, --labels-folders)'
            )
    scores = MapScores(
        PairCounts(table.num_classes),
        SCDConfusion.zeros(table.num_classes),
        storages=dict(predictions=set(), labels=set()),
        one_sided=dict(predictions=0, labels=0),
    )

    specs = {
        side: _decided(matched, side, maps, table)
        for side, maps in (('labels', labels), ('predictions', predictions))
    }

    def one(pair: Mapping[str, str]) -> tuple[SCDConfusion, dict[str, set[str]], dict[str, int]]:
        return _count_pair(pair, predictions, labels, specs, table.num_classes)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            for pair, (counts, storages, odd) in zip(matched, pool.map(one, matched), strict=True):
                scores.names.append(pair['name'])
                scores.pairs.add(counts)
                scores.counts += counts
                for side in ('predictions', 'labels'):
                    scores.storages[side] |= storages[side]
                    scores.one_sided[side] += odd[side]
        except BaseException:
            # The first wrong file stops the scoring, so the other files needn't be read.
            pool.shutdown(cancel_futures=True)
            raise
    return scores


def _decided(
    matched: Sequence[Mapping[str, str]], side: str, maps: MapFolders, table: ClassTable
) -> LabelSpec:
    """Return the meaning of the files of one side, with a storage for each folder."""
    # Without an index and a colour of "unchanged", the other classes count from 0.
    listed = table if maps.zero != 'class' else ClassTable(table.names[1:], table.palette[1:])
    semantics = 'semantic_change' if maps.zero == 'unchanged' else 'land_cover'
    spec = LabelSpec(listed, semantics, maps.storage, maps.change_storage)
    files = {role: [pair[f'{side} {role}'] for pair in matched] for role in maps.parts}
    decide = decide_storage if side == 'labels' and maps.zero != 'class' else decide_map_storage
    try:
        return decide(spec, files)
    except LabelFormatError as error:
        raise LabelFormatError(
            f'{error} (on the command line, {OPTIONS[side]} state how these files are stored)'
        ) from error


def _count_pair(
    pair: Mapping[str, str],
    predictions: MapFolders,
    labels: MapFolders,
    specs: Mapping[str, LabelSpec],
    num_classes: int,
) -> tuple[SCDConfusion, dict[str, set[str]], dict[str, int]]:
    found = {side: set[str]() for side in ('predictions', 'labels')}
    true = _read_labels(pair, labels, specs['labels'], found['labels'])
    guess = _read_predictions(pair, predictions, specs['predictions'], found['predictions'])
    paths = [
        pair[f'{side} {maps.parts[0]}']
        for side, maps in (('predictions', predictions), ('labels', labels))
    ]
    if true.change.shape != guess.change.shape:
        sizes = [f'{one.shape[1]} x {one.shape[0]}' for one in (guess.change, true.change)]
        raise LabelFormatError(
            f'{paths[0]} has {sizes[0]} pixels, {paths[1]} has '
            f'{sizes[1]}; maps are scored at the size of their labels, so write them at that size, '
            'without padding'
        )
    try:
        counts = SCDConfusion.from_maps(*true[:3], *guess[:3], num_classes)
    except LabelValueError as error:
        raise LabelValueError(f'{paths[0]}: {error}') from error
    return counts, found, dict(predictions=guess.odd, labels=true.odd)


def _read(
    pair: Mapping[str, str], role: str, maps: MapFolders, spec: LabelSpec, found: set[str]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the maps of both dates as stored, and the change mask, all of one size."""
    files = [pair[f'{role} {part}'] for part in maps.parts]
    read = [
        read_change_mask(path, spec.storages[part])
        if part == CHANGE
        else read_semantic_label(path, spec.table, spec.storages[part])
        for part, path in zip(maps.parts, files, strict=True)
    ]
    found.update(
        one.storage
        for part, one in zip(maps.parts, read, strict=True)
        if part != CHANGE or len(read) == 1
    )
    arrays = [one.values for one in read]
    for path, one in zip(files[1:], arrays[1:], strict=True):
        if one.shape != arrays[0].shape:
            raise LabelFormatError(
                f'{path} has {one.shape[1]} x {one.shape[0]} pixels, {files[0]} has '
                f'{arrays[0].shape[1]} x {arrays[0].shape[0]}; write all maps of a pair at one '
                'size'
            )
    by_part = dict(zip(maps.parts, arrays, strict=True))
    return by_part.get(FROM), by_part.get(TO), by_part.get(CHANGE)


def _read_labels(
    pair: Mapping[str, str], maps: MapFolders, spec: LabelSpec, found: set[str]
) -> PairMaps:
    """Return the maps of labels: change 0, 1, 255 and land cover 0..K-1, 255 unknown."""
    before, after, mask = _read(pair, 'labels', maps, spec, found)
    if before is None or after is None:
        assert mask is not None
        return PairMaps(mask, None, None, 0)
    if maps.zero == 'unchanged':
        return PairMaps(*combine_semantic_change(before, after, mask))
    assert mask is not None
    if maps.zero == 'unknown':
        before, after = to_land_cover(before), to_land_cover(after)
    return PairMaps(mask, before, after, 0)


def _read_predictions(
    pair: Mapping[str, str], maps: MapFolders, spec: LabelSpec, found: set[str]
) -> PairMaps:
    """Return the maps of predictions: change 0, 1 and semantic change 0..K."""
    before, after, mask = _read(pair, 'predictions', maps, spec, found)
    for name, one in zip((*DATES, CHANGE), (before, after, mask), strict=True):
        if one is not None and (share := np.mean(one == IGNORE_INDEX)):
            raise LabelValueError(
                f'{pair[f"predictions {name}"]} holds 255 (ignored) at {100 * share:.2f} % of its '
                'pixels; a prediction needs a class at every pixel, only labels may ignore pixels'
            )
    if before is None or after is None:
        assert mask is not None
        return PairMaps(mask, None, None, 0)
    odd = 0
    if maps.zero == 'class':
        before, after = before + np.uint8(1), after + np.uint8(1)
    elif maps.zero == 'unchanged':
        odd = int(np.count_nonzero((before > 0) != (after > 0)))
    change = ((before > 0) | (after > 0)).astype(np.uint8) if mask is None else mask
    return PairMaps(change, before, after, odd)


def format_comparison(
    tests: Mapping[str, PairedTest], names: Sequence[str], number: int, about: str
) -> str:
    """Return the table of a paired comparison.

    Args:
        tests: Comparison of each score by its name.
        names: Names of the two methods.
        number: Number of pairs.
        about: Method of the intervals and p-values, for the title.

    Example:
        >>> tests = {'SeK': PairedTest(20.0, 21.5, 1.5, (0.25, 2.5), 0.0312, True)}
        >>> print(format_comparison(tests, ('one', 'other'), 9, 'as an example'))
        Paired comparison on 9 pairs, as an example
        <BLANKLINE>
               one  other  difference  lower  upper       p
        SeK  20.00  21.50       +1.50   0.25   2.50  0.0312
    """
    rows = [['', *names, 'difference', 'lower', 'upper', 'p']]
    for name, test in tests.items():
        bounds = ['-', '-'] if test.interval is None else [f'{one:.2f}' for one in test.interval]
        rows.append(
            [
                name,
                f'{test.first:.2f}',
                f'{test.second:.2f}',
                f'{test.difference:+.2f}',
                *bounds,
                f'{test.p_value:.4f}',
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        '  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    title = f'Paired comparison on {number} pair{"" if number == 1 else "s"}, {about}'
    return '\n'.join([title, '', *lines])
