"""Read the options of a data set that state, once, the meaning of the values in its label files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfinet_mm.io.label_storage import IGNORED, ZERO_MEANINGS, Value, ValueRules
from tfinet_mm.structures import IGNORE_INDEX, ClassTable
from tfinet_mm.utils.config.values import is_number, is_whole

ROLES = ('from', 'to', 'change')
"""Roles of label files: land cover before, land cover after, change."""
WORD = 'ignored'
"""Word for "no information" in tables of values."""
CHANGES = dict(unchanged=0, changed=1, ignored=IGNORE_INDEX)
BAND_STORAGES = ('auto', '0/1', '0/255', 'semantic')
"""Storages of change masks that a band of a file may have."""
STATED = 12
"""Number of entries of a table that the log states."""
NO_CLASSES = ('unchanged', 'no change', 'nochange', 'unlabelled', 'unlabeled', 'ignored', 'no data')
"""Names that can't be land covers."""
UNCHANGED_COLOURS = ((255, 255, 255), (0, 0, 0), (254, 254, 254), (1, 1, 1))
"""Colours for "unchanged" where a palette has none; the first one that is no class colour."""

NoData = tuple[float, ...]


@dataclass(frozen=True)
class TransitionTable:
    """Types of transition in a label map of one file for each pair.

    Attributes:
        keys: Value, or RGB colour, of each type.
        change: 1 changed, 0 unchanged, 255 ignored.
        before: Land cover before, 0..K-1, 255 where unknown.
        after: Land cover after, 0..K-1, 255 where unknown.
    """

    keys: tuple[Value, ...]
    change: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    def words(self, table: ClassTable) -> list[str]:
        """Return each type in words, for the log."""
        names = dict(enumerate(table.land_cover))
        kinds = {0: 'unchanged', 1: '', IGNORE_INDEX: WORD}
        listed = []
        for key, change, before, after in zip(
            self.keys, self.change, self.before, self.after, strict=True
        ):
            one, two = (names.get(index, 'unknown') for index in (before, after))
            classes = f'{one} to {two}' if change == 1 else names.get(before, '')
            listed.append(' '.join(part for part in (str(key), kinds[change], classes) if part))
        return listed


def with_unchanged(classes: Any, palette: Any) -> tuple[Any, Any]:
    """Return classes and colours with "unchanged" in front, for labels counted from 0.

    Args:
        classes: K names of ``semantic_classes``.
        palette: K colours of ``semantic_palette``.

    Raises:
        ValueError: One of the names means "unchanged" or "no information".
    """
    listed = all(
        isinstance(one, Sequence) and not isinstance(one, str) for one in (classes, palette)
    )
    if not listed:
        return classes, palette  # The class table says what is wrong.
    taken = {tuple(one) for one in palette if isinstance(one, Sequence)}
    free = next(colour for colour in (*UNCHANGED_COLOURS, None) if colour not in taken)
    for name in classes:
        if str(name).lower().replace('-', ' ').replace('_', ' ') in NO_CLASSES:
            raise ValueError(
                f"semantic_classes lists {name!r}, but zero_is='class' means that index 0 and all "
                'others are land covers; leave the name and its colour out'
            )
    return ['unchanged', *classes], [free, *palette]


def checked_zero(
    zero_is: Any, semantics: str, unchanged_value: int, transitions: bool
) -> str | None:
    """Return the option ``zero_is`` after checking that it fits the others.

    Raises:
        ValueError: It is unknown, or contradicts another option.
    """
    if zero_is is None:
        return None
    if zero_is not in ZERO_MEANINGS:
        raise ValueError(f'zero_is has to be one of {ZERO_MEANINGS} or None, got {zero_is!r}')
    if transitions and zero_is != 'class':
        raise ValueError(
            f'zero_is={zero_is!r} and transitions were given, but transitions lists the meaning of '
            'every value; list 0 there: None for unchanged, "ignored" for no information'
        )
    if zero_is == 'unchanged' and semantics == 'land_cover':
        raise ValueError(
            "zero_is='unchanged' contradicts label_semantics='land_cover', in which labels have "
            "the class of every pixel; set label_semantics='semantic_change' if 0 stands for "
            "unchanged pixels, or zero_is='unknown' if it stands for no information"
        )
    if (
        zero_is == 'class'
        and semantics == 'semantic_change'
        and unchanged_value != IGNORE_INDEX
        and not transitions
    ):
        raise ValueError(
            "zero_is='class' leaves no value for unchanged pixels under "
            "label_semantics='semantic_change'; set label_semantics='land_cover' if labels have "
            'the class of every pixel, or unchanged_value=255 if 255 stands for unchanged'
        )
    return str(zero_is)


def parse_label_map(
    label_map: Any, ignore_values: Any, names: Sequence[str]
) -> tuple[tuple[Value, int], ...]:
    """Return the values or colours with a meaning of their own, and the index they stand for.

    Args:
        label_map: Class (name, or index in ``names``), or None or 'ignored', by value or colour.
        ignore_values: Values or colours that mean no information.
        names: The classes as the config lists them; an index counts from 0.

    Raises:
        ValueError: A value or a class is unknown, or values and colours are mixed.
    """
    if label_map is not None and not isinstance(label_map, Mapping):
        raise ValueError(f'label_map has to be a dictionary of values, got {label_map!r}')
    found: dict[Value, int] = {}
    for key, meaning in (label_map or {}).items():
        ignored = meaning is None or meaning in (IGNORE_INDEX, WORD)
        if ignored and not (isinstance(meaning, str) and meaning in names):
            found[_value(key, 'label_map')] = IGNORED
        else:
            found[_value(key, 'label_map')] = _class(meaning, names, f'label_map[{key!r}]')
    if is_whole(ignore_values):
        ignore_values = (ignore_values,)
    if not isinstance(ignore_values, Sequence) or isinstance(ignore_values, str):
        raise ValueError(f'ignore_values has to be a list of values, got {ignore_values!r}')
    for one in ignore_values:
        key = _value(one, 'ignore_values')
        if found.get(key, IGNORED) != IGNORED:
            raise ValueError(f'{key} is in ignore_values and is a class in label_map; remove one')
        found[key] = IGNORED
    _check_kinds(list(found), 'label_map and ignore_values')
    return tuple(found.items())


def parse_change_map(change_map: Any) -> tuple[tuple[Value, int], ...]:
    """Return the meaning (0, 1 or 255) of each value or colour of change masks.

    Raises:
        ValueError: A value or a meaning is unknown, or values and colours are mixed.
    """
    if change_map is None:
        return ()
    if not isinstance(change_map, Mapping) or not change_map:
        raise ValueError(
            'change_map has to be a dictionary of values, as in '
            f"{{0: 'ignored', 1: 'unchanged', 2: 'changed'}}, got {change_map!r}"
        )
    found: dict[Value, int] = {}
    for key, meaning in change_map.items():
        if not isinstance(meaning, str) or meaning not in CHANGES:
            raise ValueError(
                f'change_map[{key!r}] has to be one of {tuple(CHANGES)}, got {meaning!r}'
            )
        found[_value(key, 'change_map')] = CHANGES[meaning]
    _check_kinds(list(found), 'change_map')
    return tuple(found.items())


def parse_transitions(transitions: Any, names: Sequence[str], shift: int) -> TransitionTable | None:
    """Return the table of the types of transition that the config states.

    Args:
        transitions: For each value or colour (before, after), two classes by name or index; the
            same class twice for "unchanged, of this class"; None in place of a class that isn't
            known; None for "unchanged"; 'ignored' for no information.
        names: The classes as the config lists them; an index counts from 0.
        shift: 0 if the first of them stands for "unchanged", 1 if it is a class.

    Raises:
        ValueError: A value, a class or a pair can't be read, or nothing is changed.
    """
    if transitions is None:
        return None
    if not isinstance(transitions, Mapping) or not transitions:
        raise ValueError(
            'transitions has to be a dictionary of values, as in '
            f"{{0: None, 1: ('bare land', 'building'), 255: 'ignored'}}, got {transitions!r}"
        )
    rows: dict[Value, tuple[int, int, int]] = {}
    for key, meaning in transitions.items():
        where = f'transitions[{key!r}]'
        rows[_value(key, 'transitions')] = _transition(meaning, names, shift, where)
    _check_kinds(list(rows), 'transitions')
    if all(change != 1 for change, _, _ in rows.values()):
        raise ValueError(
            f'transitions has no pair of two classes, so nothing would be changed: {transitions!r}'
        )
    return TransitionTable(
        tuple(rows),
        *(tuple(row[place] for row in rows.values()) for place in range(3)),
    )


def _transition(meaning: Any, names: Sequence[str], shift: int, where: str) -> tuple[int, int, int]:
    """Return (change, before, after) of a type of transition."""
    if meaning is None:
        return 0, IGNORE_INDEX, IGNORE_INDEX
    if meaning == WORD:
        return IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX
    if not isinstance(meaning, Sequence) or isinstance(meaning, str) or len(meaning) != 2:
        raise ValueError(
            f"{where} has to be a pair of classes (before, after), None for unchanged or 'ignored' "
            f'for no information, got {meaning!r}'
        )
    covers = []
    for one in meaning:
        index = IGNORE_INDEX if one is None else _class(one, names, where) + shift - 1
        if index < 0:
            raise ValueError(
                f'{where} names {names[0]!r}, which stands for unchanged pixels; give two '
                "land-cover classes, None for unchanged or 'ignored' for no information"
            )
        covers.append(index)
    before, after = covers
    return int(before != after or before == IGNORE_INDEX), before, after


def parse_bands(label_bands: Any, roles: Mapping[str, str], together: bool) -> dict[str, int]:
    """Return the band of each role.

    Args:
        label_bands: Band, counted from 1, by the keys of ``data_prefix``.
        roles: Role ('from', 'to', 'change') of each of these keys.
        together: True if one map serves all roles (transitions).

    Raises:
        ValueError: A key is unknown, a band isn't a number, or two roles have one band.
    """
    if label_bands is None:
        return {}
    if not isinstance(label_bands, Mapping) or not label_bands or set(label_bands) - set(roles):
        raise ValueError(
            f'label_bands has to be a dictionary of bands with keys of {tuple(roles)}, got '
            f'{label_bands!r}'
        )
    for key, band in label_bands.items():
        if not is_whole(band) or band < 1:
            raise ValueError(f'label_bands[{key!r}] has to be a band counted from 1, got {band!r}')
    bands = {roles[key]: int(band) for key, band in label_bands.items()}
    if together:
        if len(set(bands.values())) > 1:
            raise ValueError(f'transitions are read from one band, got label_bands={label_bands!r}')
        return dict.fromkeys(roles.values(), next(iter(bands.values())))
    if len(set(bands.values())) < len(bands):
        raise ValueError(f'label_bands reads one band in two roles: {dict(label_bands)!r}')
    return bands


def label_options(
    table: ClassTable,
    roles: Mapping[str, str],
    semantics: str,
    change_storage: str,
    unchanged_value: int,
    zero_is: Any = None,
    label_map: Any = None,
    ignore_values: Any = (),
    change_map: Any = None,
    label_bands: Any = None,
    transitions: Any = None,
    no_data: Any = None,
) -> dict[str, Any]:
    """Return the fields ``rules``, ``transitions`` and ``no_data`` of a ``LabelSpec``.

    Args:
        table: The classes, "unchanged" first.
        roles: Role ('from', 'to', 'change') of each label key of ``data_prefix``.
        semantics: Option ``label_semantics``.
        change_storage: Option of this name.
        unchanged_value: Option of this name.
        zero_is: See :func:`checked_zero`.
        label_map: See :func:`parse_label_map`.
        ignore_values: See :func:`parse_label_map`.
        change_map: See :func:`parse_change_map`.
        label_bands: See :func:`parse_bands`.
        transitions: See :func:`parse_transitions`.
        no_data: See :func:`parse_no_data`.

    Raises:
        ValueError: An option can't be read, or two contradict each other.
    """
    together = transitions is not None
    zero = checked_zero(zero_is, semantics, unchanged_value, together)
    shift = int(zero == 'class')
    names = table.names[shift:]
    mapped = parse_label_map(label_map, ignore_values, names)
    changes = parse_change_map(change_map)
    if together and (mapped or changes or change_storage != 'auto'):
        raise ValueError(
            'transitions gives the meaning of every value, so that label_map, ignore_values, '
            "change_map and change_storage don't apply; list all values in transitions, 'ignored' "
            'for no information'
        )
    if changes and change_storage != 'auto':
        raise ValueError(
            f'change_map and change_storage={change_storage!r} both say how change masks are '
            'stored; remove one'
        )
    if change_storage == 'difference' and semantics != 'land_cover':
        raise ValueError(
            "change_storage='difference' compares the land cover of every pixel, so it needs "
            f"label_semantics='land_cover', got {semantics!r}"
        )
    bands = parse_bands(label_bands, roles, together)
    if bands.get(ROLES[2]) and change_storage not in BAND_STORAGES:
        raise ValueError(
            f'label_bands reads change masks from a band, but change_storage={change_storage!r} is '
            f'not for bands; expected one of {BAND_STORAGES}, or change_map'
        )
    if together:
        zero = None  # It counts the classes of the table, not the values in the files.
    rules = {
        role: ValueRules(zero, mapped, band=bands.get(role, 0))
        if role != ROLES[2] or change_storage == 'semantic'
        else ValueRules(change=changes, band=bands.get(role, 0))
        for role in roles.values()
    }
    return dict(
        rules={role: one for role, one in rules.items() if one != ValueRules()},
        transitions=parse_transitions(transitions, names, shift),
        no_data=parse_no_data(no_data),
    )


def parse_no_data(no_data: Any) -> tuple[NoData, ...]:
    """Return the values of pixels without data in images: one for all bands, or one for each.

    Args:
        no_data: A stored value, a colour (a value for each band), a list of colours, or None.

    Raises:
        ValueError: It is none of these.
    """
    if no_data is None:
        return ()
    entries = [no_data] if is_number(no_data) else no_data
    listed = isinstance(entries, Sequence) and not isinstance(entries, str) and len(entries)
    if listed and all(is_number(one) for one in entries):
        entries = [entries]
    for one in entries if listed else [None]:
        fits = isinstance(one, Sequence) and len(one) and all(is_number(value) for value in one)
        if not fits:
            raise ValueError(
                'no_data has to be a value, a colour (a value for each band) or a list of colours, '
                f'as in (255, 255, 255), got {no_data!r}'
            )
    return tuple(tuple(float(value) for value in one) for one in entries)


def no_data_in_words(no_data: Sequence[NoData]) -> str:
    """Return the values of pixels without data in words, such as '0 or (255, 255, 255)'."""
    values = [[f'{value:g}' for value in one] for one in no_data]
    return ' or '.join(one[0] if len(one) == 1 else f'({", ".join(one)})' for one in values)


def rules_in_words(rules: ValueRules, table: ClassTable) -> list[str]:
    """Return in words what a user states about the values of a role, for the log."""
    words = [f'band {rules.band}'] if rules.band else []
    names = table.names[rules.shift :]
    if rules.zero_is == 'class':
        words.append(f'0 is the class {names[0]!r}')
    elif rules.zero_is:
        words.append(f'0 is {rules.zero_is}')
    words += some(
        f'{key} is {WORD if meant == IGNORED else repr(names[meant])}'
        for key, meant in rules.mapped
    )
    meanings = {value: name for name, value in CHANGES.items()}
    return words + [f'{key} is {meanings[meant]}' for key, meant in rules.change]


def some(words: Any) -> list[str]:
    """Return the first words of a list, and the number of the others."""
    listed = list(words)
    rest = len(listed) - STATED
    return listed[:STATED] + ([f'and {rest} more'] if rest > 0 else [])


def _value(key: Any, option: str) -> Value:
    """Return a value or a colour of a table; configs in JSON have numbers as text."""
    if isinstance(key, str) and key.lstrip('-').isdigit():
        return int(key)
    if is_whole(key):
        return int(key)
    colour = isinstance(key, Sequence) and len(key) == 3
    if colour and all(is_whole(one) and 0 <= one <= 255 for one in key):
        return int(key[0]), int(key[1]), int(key[2])
    raise ValueError(
        f'{option} has the key {key!r}, expected a whole number or a colour such as (255, 0, 0)'
    )


def _check_kinds(keys: Sequence[Value], option: str) -> None:
    if len({isinstance(key, tuple) for key in keys}) > 1:
        raise ValueError(
            f'{option} mixes values and colours: {list(keys)}; files hold one or the other'
        )


def _class(meaning: Any, names: Sequence[str], where: str) -> int:
    """Return the index of a class, given by its name or index."""
    if isinstance(meaning, str) and meaning in names:
        return list(names).index(meaning)
    if is_whole(meaning) and 0 <= meaning < len(names):
        return int(meaning)
    raise ValueError(
        f'{where} names the class {meaning!r}, expected one of {tuple(names)} or its index'
    )
