"""Describe the storage of labels, decided once for a data set and asserted for each file."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tfinet_mm.structures import IGNORE_INDEX
from tfinet_mm.utils.config.values import is_number

STATED_STORAGES = ('auto', 'index', 'palette', 'rgb')
"""Storages of semantic labels that an option can state."""

DATASET_STORAGES = (*STATED_STORAGES, 'one_hot')
"""Storages of semantic labels that the option of a data set can state."""
SEMANTIC_STORAGES = (*DATASET_STORAGES, 'colours')
CHANGE_STORAGES = (
    *('auto', '0/1', '0/255', 'palette', 'semantic', 'difference', 'soft', 'unknown'),
)
UNKNOWN_COLOURS = ('error', 'ignore')
ZERO_MEANINGS = ('unchanged', 'unknown', 'class')
IGNORED = -1
"""Stands for "ignored" in the tables of :class:`ValueRules`."""

Value = int | tuple[int, int, int]
"""Stored value of a label file, or RGB colour."""


@dataclass(frozen=True)
class ValueRules:
    """Meaning of the values in the label files of one role, as the user states it.

    Attributes:
        zero_is: 'class' if classes are counted from 0, so that index 0 is the first class;
            'unknown' or 'unchanged' for what index 0 stands for. None leaves 0 as it is.
        mapped: (value or colour, index) pairs: files hold the value where the index is meant.
            The index counts as those in the files do; :data:`IGNORED` ignores the pixels.
        change: (value or colour, 0, 1 or 255) pairs of a change mask with other values than 0/1
            and 0/255; no other values are allowed.
        band: Band of the file, counted from 1; 0 for files of one band or of colours.
        complete: True if ``mapped`` has every value, so that any other one is an error. The
            classes of MMSegmentation's data sets are mapped so, by their names.
    """

    zero_is: str | None = None
    mapped: tuple[tuple[Value, int], ...] = ()
    change: tuple[tuple[Value, int], ...] = ()
    band: int = 0
    complete: bool = False

    @property
    def shift(self) -> int:
        """Return the number to add to a class in a file to have its index in the class table."""
        return int(self.zero_is == 'class')

    @property
    def by_colour(self) -> bool:
        """Return whether ``mapped`` is a table of colours."""
        return bool(self.mapped) and isinstance(self.mapped[0][0], tuple)


@dataclass(frozen=True)
class LabelStorage:
    """Storage of the labels of one role of a data set: before, after or change.

    Attributes:
        name: Of semantic labels 'index' (values are class indices, whatever a palette says),
            'palette' (colours of the stored palette), 'rgb' (colours), 'colours' (either of
            these two), 'one_hot' (a band for each class); of change masks '0/1' (255 ignored),
            '0/255' (255 changed), 'palette' (black unchanged, white changed), 'semantic' (a
            semantic label, changed where it has a class), 'difference' (no mask: changed where
            land cover differs), 'unknown' (no mask: the change isn't known), 'change_map' (the
            values of ``rules.change``), 'soft' (grey levels or probabilities). 'auto'
            decides for each file alone.
        unchanged_value: Index that means "unchanged": 0, or 255 if no pixel is ignored.
        tolerance: Largest difference (0..127, in the band that differs most) at which a colour
            still counts as a class colour.
        unknown_colours: 'error', or 'ignore' to ignore pixels of no class colour (255).
        threshold: Level (above 0, at most 1) from which a soft mask means changed.
        margin: Distance (at least 0, below 0.5) from the threshold up to which a level of a
            soft mask is ignored; 0 ignores none.
        reason: Reason of the decision, for the log; empty if the storage was stated.
        words: Meaning of the values that the user states, in words, for the log.
        rules: The same for the reader.

    Raises:
        ValueError: An option has an unknown value.
    """

    name: str = 'auto'
    unchanged_value: int = 0
    tolerance: int = 0
    unknown_colours: str = 'error'
    reason: str = ''
    threshold: float = 0.5
    margin: float = 0.0
    words: str = ''
    rules: ValueRules = ValueRules()

    def __post_init__(self) -> None:
        """Check the options."""
        known = dict.fromkeys((*SEMANTIC_STORAGES, *CHANGE_STORAGES, 'change_map'))
        if self.name not in known:
            raise ValueError(f'label storage has to be one of {tuple(known)}, got {self.name!r}')
        if self.unchanged_value not in (0, IGNORE_INDEX):
            raise ValueError(f'unchanged_value has to be 0 or 255, got {self.unchanged_value!r}')
        whole = isinstance(self.tolerance, int) and not isinstance(self.tolerance, bool)
        if not whole or not 0 <= self.tolerance < 128:
            raise ValueError(
                f'colour_tolerance has to be a whole number from 0 to 127, got {self.tolerance!r}'
            )
        if self.unknown_colours not in UNKNOWN_COLOURS:
            raise ValueError(
                f'unknown_colours has to be one of {UNKNOWN_COLOURS}, got {self.unknown_colours!r}'
            )
        if not is_number(self.threshold) or not 0 < self.threshold <= 1:
            raise ValueError(
                f'mask_threshold has to be a number above 0, at most 1, got {self.threshold!r}'
            )
        if not is_number(self.margin) or not 0 <= self.margin < 0.5:
            raise ValueError(
                f'mask_margin has to be a number from 0, below 0.5, got {self.margin!r}'
            )
        changed = (self.threshold, self.margin) != (0.5, 0.0)
        if changed and self.name != 'soft':
            raise ValueError(
                'mask_threshold and mask_margin are for masks of grey levels; set '
                f'change_storage="soft", got {self.name!r}'
            )

    def __str__(self) -> str:
        """Return the storage in words, for the log."""
        words = f'; {self.words}' * bool(self.words)
        return f'{self.name} ({self.reason or "as stated"}{words})'

    def with_reason(self, reason: str) -> LabelStorage:
        """Return the same storage with a reason for the log."""
        return replace(self, reason=reason)


def as_storage(storage: str | LabelStorage, known: tuple[str, ...], what: str) -> LabelStorage:
    """Return a storage, from its name if that is given.

    Args:
        storage: Storage, or its name.
        known: Names that are allowed.
        what: Name of the option in the message.

    Raises:
        ValueError: The name isn't one of ``known``.
    """
    name = storage.name if isinstance(storage, LabelStorage) else storage
    if name not in known:
        raise ValueError(f'{what} has to be one of {known}, got {name!r}')
    return storage if isinstance(storage, LabelStorage) else LabelStorage(storage)
