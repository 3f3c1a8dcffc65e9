"""Turn the label files of a pair into its change and the land cover of each date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from tfinet_mm.datasets.label_meaning import (
    ROLES,
    NoData,
    TransitionTable,
    no_data_in_words,
    rules_in_words,
    some,
)
from tfinet_mm.errors import LabelFormatError
from tfinet_mm.io.change_masks import read_change_mask
from tfinet_mm.io.label_bands import read_label_bands
from tfinet_mm.io.label_files import StoredLabel, present_values, read_stored_label
from tfinet_mm.io.label_storage import (
    CHANGE_STORAGES,
    DATASET_STORAGES,
    UNKNOWN_COLOURS,
    LabelStorage,
    ValueRules,
)
from tfinet_mm.io.label_values import table_positions
from tfinet_mm.io.labels import LabelMap, read_semantic_label
from tfinet_mm.structures import IGNORE_INDEX, ClassTable

SEMANTICS = ('semantic_change', 'land_cover')
FROM, TO, CHANGE = ROLES
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
        storage: Storage of the semantic labels: 'auto', 'index', 'palette', 'rgb' or 'one_hot',
            see :func:`~tfinet_mm.io.labels.read_semantic_label`; or one for each role.
        change_storage: Storage of the change mask: 'auto', '0/1', '0/255', 'palette', see
            :func:`~tfinet_mm.io.change_masks.read_change_mask`; 'semantic':
            a semantic label, changed wherever it holds a class; 'difference': no mask, changed
            where the land cover of both dates differs; 'unknown': no mask, the change is ignored
            everywhere; 'soft': grey levels or probabilities, see
            :func:`~tfinet_mm.io.soft_masks.read_soft_mask`.
        transitions: For one label file of types of transition, the table of them; else None.
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
        rules: Meaning of the values of each role, as the user states it.
        no_data: Values of image pixels without data, see
            :func:`~tfinet_mm.datasets.label_meaning.parse_no_data`.

    Raises:
        ValueError: An option has an unknown value.
    """

    table: ClassTable
    semantics: str = 'semantic_change'
    storage: str | Mapping[str, str] = 'auto'
    change_storage: str = 'auto'
    transitions: TransitionTable | None = None
    unchanged_value: int = 0
    colour_tolerance: int = 0
    unknown_colours: str = 'error'
    mask_threshold: float = 0.5
    mask_margin: float = 0.0
    storages: Mapping[str, LabelStorage] = field(default_factory=dict)
    rules: Mapping[str, ValueRules] = field(default_factory=dict)
    no_data: tuple[NoData, ...] = ()

    def __post_init__(self) -> None:
        """Check the options now, since the readers check them only at the first file."""
        stated = self.storage.values() if isinstance(self.storage, Mapping) else [self.storage]
        for name, value, known in (
            ('label_semantics', self.semantics, SEMANTICS),
            *(('label_storage', one, DATASET_STORAGES) for one in stated),
            ('change_storage', self.change_storage, CHANGE_STORAGES),
            ('unchanged_value', self.unchanged_value, (0, IGNORE_INDEX)),
            ('unknown_colours', self.unknown_colours, UNKNOWN_COLOURS),
        ):
            if value not in known:
                raise ValueError(f'{name} has to be one of {known}, got {value!r}')
        for role in (FROM, TO, CHANGE):
            self.semantic_storage(role)  # This checks the tolerance.
        self.mask_storage()

    def semantic_storage(self, role: str = '') -> LabelStorage:
        """Return the storage of the semantic labels of a role, as decided or else as stated.

        Raises:
            ValueError: The stated storage contradicts the rules of the role.
        """
        rules = self.rules.get(role, ValueRules())
        if role in self.storages:
            return replace(self.storages[role], rules=rules)
        stated = self.storage if isinstance(self.storage, str) else self.storage.get(role, 'auto')
        allowed = ('auto', 'palette', 'rgb') if rules.by_colour else ('auto', 'index', 'one_hot')
        if (rules.mapped and stated not in allowed) or (
            rules.band and stated not in ('auto', 'index')
        ):
            what = 'label_map and ignore_values' if rules.mapped else 'label_bands'
            raise ValueError(
                f'label_storage={stated!r} contradicts {what}, which '
                f'{"name colours" if rules.by_colour else "are of numbers"}; expected one of '
                f'{allowed if rules.mapped else ("auto", "index")}'
            )
        if stated == 'auto' and rules.by_colour:
            stated = 'colours'
        elif stated == 'auto' and (rules.mapped or rules.band):
            stated = 'index'
        return LabelStorage(
            stated,
            self.unchanged_value,
            self.colour_tolerance,
            self.unknown_colours,
            rules=rules,
        )

    def mask_storage(self) -> LabelStorage:
        """Return the storage of change masks, as decided or else as stated."""
        rules = self.rules.get(CHANGE, ValueRules())
        if CHANGE in self.storages:
            return replace(self.storages[CHANGE], rules=rules)
        name = 'change_map' if rules.change else self.change_storage
        return LabelStorage(
            name,
            tolerance=self.colour_tolerance,
            unknown_colours=self.unknown_colours,
            threshold=self.mask_threshold,
            margin=self.mask_margin,
            rules=rules,
        )

    @property
    def shift(self) -> int:
        """Return 1 if semantic labels count their classes from 0, else 0."""
        return self.rules.get(FROM, ValueRules()).shift

    def stated(self, role: str) -> list[str]:
        """Return in words what the user states about the values of a role, for the log."""
        words = rules_in_words(self.rules.get(role, ValueRules()), self.table)
        if self.transitions is not None:
            words += some(self.transitions.words(self.table))
        if self.change_storage == 'difference':
            words.append('changed where both dates differ')
        if self.change_storage == 'unknown':
            words.append('the change is unknown')
        if self.no_data:
            words.append(f'ignored where an image is {no_data_in_words(self.no_data)}')
        return words


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
        unknown: Number of pixels ignored because their colours belong to no class, or no band of
            a one-hot label is set.
        transitions: Places in the table of transitions of the types that occur.
    """

    change: np.ndarray | None = None
    cover_from: np.ndarray | None = None
    cover_to: np.ndarray | None = None
    conflicts: int = 0
    storages: dict[str, str] = field(default_factory=dict)
    unknown: int = 0
    transitions: tuple[int, ...] = ()


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
        The maps of the files that the pair has, with 255 for what isn't known; all None for a pair
        without labels.

    Raises:
        FileNotFoundError: A file is missing.
        LabelFormatError: A file isn't stored as expected, the files differ in
            size, or land cover comes without a change mask.
        LabelValueError: A file holds a value that has no meaning.
    """
    window = info.get('window')
    paths = {
        role: info[key]
        for role, key in (
            (CHANGE, 'seg_map_path'),
            (FROM, 'seg_map_path_from'),
            (TO, 'seg_map_path_to'),
        )
        if info.get(key)
    }
    if spec.transitions is not None:
        path = next(iter(paths.values()), None)
        return LoadedLabels() if path is None else _read_transitions(path, spec, window)
    stored = _read_once(paths, spec, window)
    loaded = LoadedLabels()
    maps: dict[str, LabelMap] = {}
    for role, path in paths.items():
        if role == CHANGE:
            maps[role] = _read_mask(path, spec, window, stored.get(role))
        else:
            storage = spec.semantic_storage(role)
            maps[role] = read_semantic_label(path, spec.table, storage, window, stored.get(role))
        loaded.storages[role] = maps[role].storage
        loaded.unknown += maps[role].unknown
    _check_sizes([(paths[role], one) for role, one in maps.items()])
    values = {role: one.values for role, one in maps.items()}
    mask = values.get(CHANGE)
    loaded.change = mask
    if FROM not in maps and TO not in maps:
        return loaded
    unknown = spec.change_storage == 'unknown'
    if len(maps) == 1 and not unknown:
        raise LabelFormatError(
            f'{next(iter(paths.values()))} is the only label of a pair, expected that of the other '
            'date or a change mask; name its folder in data_prefix, or set '
            'change_storage="unknown" to learn the land cover of this date alone'
        )
    for role in (FROM, TO):
        if role not in values:
            # Nothing is known of a date without a label.
            values[role] = np.full(next(iter(values.values())).shape, IGNORE_INDEX, np.uint8)
    before, after = values[FROM], values[TO]
    if spec.semantics == 'semantic_change':
        combined = combine_semantic_change(before, after, mask)
        if len(maps) == 2 and mask is not None:
            combined = _one_date(before if FROM in maps else after, combined, mask)
        loaded.change, loaded.cover_from, loaded.cover_to, loaded.conflicts = combined
        return loaded
    loaded.cover_from, loaded.cover_to = to_land_cover(before), to_land_cover(after)
    if unknown:
        loaded.change = np.full(before.shape, IGNORE_INDEX, np.uint8)
    elif mask is None and spec.change_storage == 'difference':
        loaded.change = difference(loaded.cover_from, loaded.cover_to)
    elif mask is None:
        raise LabelFormatError(
            f'{paths[FROM]} and {paths[TO]} hold land cover of every pixel, from which change '
            'can not be derived (a building that replaced another keeps its class); give change '
            'masks as data_prefix["seg_map_path"], or set change_storage="difference" if every '
            'change is a change of class'
        )
    return loaded


def difference(cover_from: np.ndarray, cover_to: np.ndarray) -> np.ndarray:
    """Return the change between two maps of land cover, 255 where one of them is unknown.

    Example:
        >>> import numpy as np
        >>> difference(np.array([0, 1, 255], np.uint8), np.array([0, 2, 2], np.uint8))
        array([  0,   1, 255], dtype=uint8)
    """
    change = (cover_from != cover_to).astype(np.uint8)
    change[(cover_from == IGNORE_INDEX) | (cover_to == IGNORE_INDEX)] = IGNORE_INDEX
    return change


def _one_date(label: np.ndarray, combined: PairLabels, mask: np.ndarray) -> PairLabels:
    """Ignore pixels about which a mask and the only label of a pair contradict each other."""
    conflict = (label != IGNORE_INDEX) & (mask != IGNORE_INDEX) & ((label > 0) != (mask == 1))
    for values in combined[:3]:
        values[conflict] = IGNORE_INDEX
    return combined._replace(conflicts=int(np.count_nonzero(conflict)))


def _read_once(paths: Mapping[str, str], spec: LabelSpec, window: Any) -> dict[str, StoredLabel]:
    """Read the files that several roles share, or of which a role takes a band, once each."""
    together: dict[str, list[str]] = {}
    for role, path in paths.items():
        together.setdefault(path, []).append(role)
    stored: dict[str, StoredLabel] = {}
    for path, roles in together.items():
        bands = {role: spec.rules.get(role, ValueRules()).band for role in roles}
        if all(bands.values()):
            found = read_label_bands(path, list(bands.values()), window)
            stored.update(zip(bands, found, strict=True))
        elif len(roles) > 1 and set(roles) <= set(spec.storages):
            stored.update(dict.fromkeys(roles, read_stored_label(path, window)))
    return stored


def _read_mask(path: str, spec: LabelSpec, window: Any, stored: StoredLabel | None) -> LabelMap:
    if spec.change_storage != 'semantic':
        return read_change_mask(path, spec.mask_storage(), window, stored)
    label = read_semantic_label(path, spec.table, spec.semantic_storage(CHANGE), window, stored)
    changed = (label.values > 0).astype(np.uint8)
    changed[label.values == IGNORE_INDEX] = IGNORE_INDEX
    return LabelMap(changed, label.storage, label.unknown)


def _read_transitions(path: str, spec: LabelSpec, window: Any) -> LoadedLabels:
    """Read change and land cover of a pair from one map of types of transition."""
    table = spec.transitions
    assert table is not None
    band = spec.rules.get(FROM, ValueRules()).band
    stored = read_label_bands(path, [band], window)[0] if band else read_stored_label(path, window)
    places, unknown = table_positions(
        path, stored, table.keys, 'transitions', spec.colour_tolerance, spec.unknown_colours
    )
    change, before, after = (
        np.array([*meaning, IGNORE_INDEX], np.uint8)[places]
        for meaning in (table.change, table.before, table.after)
    )
    found = 'rgb' if stored.pixels.ndim == 3 else 'index' if stored.palette is None else 'palette'
    present = present_values(places)
    return LoadedLabels(
        change,
        before,
        after,
        storages={FROM: found, TO: found},
        unknown=unknown,
        transitions=tuple(int(one) for one in present if one < len(table.keys)),
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
