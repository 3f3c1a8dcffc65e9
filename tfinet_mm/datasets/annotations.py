"""Turn the label files of a pair into its change and the land cover of each date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np

from tfinet_mm.errors import LabelFormatError
from tfinet_mm.io.change_masks import read_change_mask
from tfinet_mm.io.label_storage import (
    CHANGE_STORAGES,
    STATED_STORAGES,
    UNKNOWN_COLOURS,
    LabelStorage,
)
from tfinet_mm.io.labels import LabelMap, read_semantic_label
from tfinet_mm.structures import IGNORE_INDEX, ClassTable

SEMANTICS = ('semantic_change', 'land_cover')
FROM, TO, CHANGE = 'from', 'to', 'change'
"""Roles of label files: land cover before, land cover after, change."""


@dataclass(frozen=True)
class LabelSpec:
    """Meaning of the values in the label files of a data set.

    Attributes:
        table: The classes, index 0 for "unchanged" (or "no information").
        semantics: 'semantic_change': labels hold a class where something
            changed and 0 elsewhere (SECOND). 'land_cover': labels hold the
            class of every pixel, 0 where there is no information (HRSCD); then
            the change comes from a mask of its own.
        storage: Storage of the semantic labels: 'auto', 'index', 'palette' or
            'rgb', see :func:`~tfinet_mm.io.labels.read_semantic_label`.
        change_storage: Storage of the change mask: 'auto', '0/1', '0/255', 'palette', see
            :func:`~tfinet_mm.io.change_masks.read_change_mask`, or 'semantic':
            a semantic label, changed wherever it holds a class; or 'soft': grey levels or
            probabilities, see :func:`~tfinet_mm.io.soft_masks.read_soft_mask`.
        transitions: For one label file of transitions t = 0..T for both dates,
            the classes (from, to) of each t; else None.
        unchanged_value: Index that stands for "unchanged" in semantic labels: 0, or 255, of
            labels in which nothing is ignored.
        colour_tolerance: Largest difference of a colour from a class colour, 0..127.
        unknown_colours: 'error', or 'ignore' for pixels of no class colour.
        mask_threshold: Level (above 0, at most 1) from which a soft mask means changed.
        mask_margin: Distance (at least 0, below 0.5) from the threshold up to which a level of
            a soft mask is ignored; 0 ignores none.
        storages: Storage of each role as the data set decided it, see
            :mod:`tfinet_mm.datasets.label_contract`. A role that is missing here is decided for
            each file alone.

    Raises:
        ValueError: An option has an unknown value.
    """

    table: ClassTable
    semantics: str = 'semantic_change'
    storage: str = 'auto'
    change_storage: str = 'auto'
    transitions: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    unchanged_value: int = 0
    colour_tolerance: int = 0
    unknown_colours: str = 'error'
    mask_threshold: float = 0.5
    mask_margin: float = 0.0
    storages: Mapping[str, LabelStorage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the options now, since the readers check them only at the first file."""
        for name, value, known in (
            ('label_semantics', self.semantics, SEMANTICS),
            ('label_storage', self.storage, STATED_STORAGES),
            ('change_storage', self.change_storage, CHANGE_STORAGES),
            ('unchanged_value', self.unchanged_value, (0, IGNORE_INDEX)),
            ('unknown_colours', self.unknown_colours, UNKNOWN_COLOURS),
        ):
            if value not in known:
                raise ValueError(f'{name} has to be one of {known}, got {value!r}')
        self.semantic_storage()  # This checks the tolerance.
        self.mask_storage()

    def semantic_storage(self, role: str = '') -> LabelStorage:
        """Return the storage of the semantic labels of a role, as decided or else as stated."""
        stated = LabelStorage(
            self.storage, self.unchanged_value, self.colour_tolerance, self.unknown_colours
        )
        return self.storages.get(role, stated)

    def mask_storage(self) -> LabelStorage:
        """Return the storage of change masks, as decided or else as stated."""
        stated = LabelStorage(
            self.change_storage, threshold=self.mask_threshold, margin=self.mask_margin
        )
        return self.storages.get(CHANGE, stated)


class PairLabels(NamedTuple):
    """Label maps of a pair, each (H, W) uint8.

    Attributes:
        change: 1 changed, 0 unchanged, 255 ignored.
        cover_from: Land cover before, 0..K-1, 255 where unknown.
        cover_to: Land cover after, 0..K-1, 255 where unknown.
        conflicts: Number of pixels that were ignored because the labels
            contradict each other about them.
    """

    change: np.ndarray
    cover_from: np.ndarray
    cover_to: np.ndarray
    conflicts: int


@dataclass
class LoadedLabels:
    """Label maps of a pair, with the facts that were found while its files were read.

    Attributes:
        change: See :class:`PairLabels`; None for a pair without labels.
        cover_from: See :class:`PairLabels`; None without semantic labels.
        cover_to: See :class:`PairLabels`; None without semantic labels.
        conflicts: See :class:`PairLabels`.
        storages: Storage found in each file: keys 'from', 'to', 'change'.
        unknown: Number of pixels ignored because their colours belong to no class.
    """

    change: np.ndarray | None = None
    cover_from: np.ndarray | None = None
    cover_to: np.ndarray | None = None
    conflicts: int = 0
    storages: dict[str, str] = field(default_factory=dict)
    unknown: int = 0


def to_land_cover(label: np.ndarray) -> np.ndarray:
    """Return the land cover 0..K-1 of label indices 0..K; the indices 0 and 255 become 255.

    Example:
        >>> import numpy as np
        >>> to_land_cover(np.array([0, 1, 6, 255], np.uint8))
        array([255,   0,   5, 255], dtype=uint8)
    """
    lookup = np.arange(-1, 255).astype(np.uint8)  # 0 wraps around to 255 on purpose
    lookup[IGNORE_INDEX] = IGNORE_INDEX
    # Ten times as fast as indexing with the label.
    return cv2.LUT(np.ascontiguousarray(label), lookup).reshape(label.shape)


def combine_semantic_change(
    label_from: np.ndarray, label_to: np.ndarray, mask: np.ndarray | None = None
) -> PairLabels:
    """Return labels of a pair whose files hold a class where something changed, 0 elsewhere.

    "Changed" is ``label > 0``, never ``label_from != label_to``: a building
    replaced by another has one class on both dates and did change. Pixels about
    which the files contradict each other (a class on one date only, or a change
    mask that differs) are ignored in all three maps. Where a label is 255, the
    mask decides the change; without a mask the pixel is ignored.

    Args:
        label_from: Indices 0..K and 255 of the first date, (H, W) uint8.
        label_to: The same for the second date.
        mask: Change mask (H, W) uint8 of 0, 1 and 255, or None to derive it.

    Example:
        >>> import numpy as np
        >>> before, after = np.array([[0, 5, 5, 0]], np.uint8), np.array([[0, 5, 2, 2]], np.uint8)
        >>> labels = combine_semantic_change(before, after)
        >>> labels.change, labels.conflicts
        (array([[  0,   1,   1, 255]], dtype=uint8), 1)
    """
    changed_from, changed_to = label_from > 0, label_to > 0
    ignored = (label_from == IGNORE_INDEX) | (label_to == IGNORE_INDEX)
    conflict = (changed_from != changed_to) & ~ignored
    change = changed_from.astype(np.uint8)
    if mask is None:
        change[ignored] = IGNORE_INDEX
    else:
        conflict |= (mask != change) & (mask != IGNORE_INDEX) & ~ignored
        change = mask.copy()
    cover_from, cover_to = to_land_cover(label_from), to_land_cover(label_to)
    conflicts = int(np.count_nonzero(conflict))
    if conflicts:
        for values in (change, cover_from, cover_to):
            values[conflict] = IGNORE_INDEX
    return PairLabels(change, cover_from, cover_to, conflicts)


def read_pair_labels(info: dict[str, Any], spec: LabelSpec) -> LoadedLabels:
    """Read the labels that a pair has.

    Args:
        info: Entry of a data set: ``seg_map_path``, ``seg_map_path_from`` and
            ``seg_map_path_to`` (each may be missing or None) and ``window``.
        spec: Meaning of the values in the files.

    Returns:
        The maps of the files that the pair has; all None for a pair without labels.

    Raises:
        FileNotFoundError: A file is missing.
        LabelFormatError: A file isn't stored as expected, the files differ in
            size, or land cover comes without a change mask.
        LabelValueError: A file holds a value that has no meaning.
    """
    window = info.get('window')
    path_from, path_to = info.get('seg_map_path_from'), info.get('seg_map_path_to')
    loaded = LoadedLabels()
    mask = None
    if info.get('seg_map_path'):
        mask = _read_mask(info['seg_map_path'], spec, window)
        loaded.storages[CHANGE] = mask.storage
        loaded.unknown += mask.unknown
        loaded.change = mask.values
    if not (path_from and path_to):
        return loaded
    before, after = _read_semantic_pair(path_from, path_to, spec, window)
    loaded.storages.update({FROM: before.storage, TO: after.storage})
    loaded.unknown += before.unknown + after.unknown
    _check_sizes(
        [(path_from, before), (path_to, after)]
        + ([(info['seg_map_path'], mask)] if mask is not None else [])
    )
    if spec.semantics == 'semantic_change':
        maps = combine_semantic_change(
            before.values, after.values, None if mask is None else mask.values
        )
        loaded.change, loaded.cover_from, loaded.cover_to, loaded.conflicts = maps
        return loaded
    if mask is None:
        raise LabelFormatError(
            f'{path_from} and {path_to} hold land cover of every pixel, from which change '
            'can not be derived (a building that replaced another keeps its class); give change '
            'masks as data_prefix["seg_map_path"]'
        )
    loaded.cover_from, loaded.cover_to = to_land_cover(before.values), to_land_cover(after.values)
    return loaded


def _read_mask(path: str, spec: LabelSpec, window: Any) -> LabelMap:
    if spec.change_storage != 'semantic':
        return read_change_mask(path, spec.mask_storage(), window)
    label = read_semantic_label(path, spec.table, spec.semantic_storage(CHANGE), window)
    changed = (label.values > 0).astype(np.uint8)
    changed[label.values == IGNORE_INDEX] = IGNORE_INDEX
    return LabelMap(changed, label.storage, label.unknown)


def _read_semantic_pair(
    path_from: str, path_to: str, spec: LabelSpec, window: Any
) -> tuple[LabelMap, LabelMap]:
    if spec.transitions is None:
        return (
            read_semantic_label(path_from, spec.table, spec.semantic_storage(FROM), window),
            read_semantic_label(path_to, spec.table, spec.semantic_storage(TO), window),
        )
    label = read_semantic_label(
        path_from, transition_table(len(spec.transitions[0])), 'index', window
    )
    lookups = np.full((2, 256), IGNORE_INDEX, np.uint8)
    lookups[:, : len(spec.transitions[0])] = spec.transitions
    return (
        LabelMap(lookups[0][label.values], label.storage),
        LabelMap(lookups[1][label.values], label.storage),
    )


def transition_table(number: int) -> ClassTable:
    """Return a class table for labels of ``number`` transitions, which are read as indices."""
    return ClassTable(
        tuple(f'transition {index}' for index in range(number)),
        tuple((index, index, index) for index in range(number)),
    )


def _check_sizes(labels: list[tuple[str, LabelMap]]) -> None:
    if len({label.values.shape for _, label in labels}) > 1:
        listed = ', '.join(
            f'{path} {label.values.shape[1]} x {label.values.shape[0]}' for path, label in labels
        )
        raise LabelFormatError(
            f'the labels of a pair have to be of one size, got (width x height) {listed}; export '
            'them on the grid of the images'
        )
