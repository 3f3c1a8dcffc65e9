"""Decide the storage of the labels of a data set, once and from all of its files.

A single file is often ambiguous: a window of a 0/1/255 mask in which 1 doesn't occur looks like
0/255, and the entries of a palette may be in the order of the classes or in another one. So the
headers of all files are read, pixels only where headers aren't enough, and every file is then read
in the storage that was decided. The decision is kept in the user's cache, under a key that changes
when a file does.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from tfinet_mm.datasets.annotations import CHANGE, FROM, TO, LabelSpec
from tfinet_mm.datasets.label_cache import keep, label_key, read_kept
from tfinet_mm.errors import LabelFormatError, TFINetError
from tfinet_mm.io.change_masks import WAYS, mask_evidence
from tfinet_mm.io.label_bands import read_label_bands
from tfinet_mm.io.label_files import is_grey, present_values, read_stored_label
from tfinet_mm.io.label_headers import COLOUR, GREY, PALETTE, LabelHeader, read_label_headers
from tfinet_mm.io.label_storage import LabelStorage, ValueRules
from tfinet_mm.io.labels import palette_lookup, read_semantic_label
from tfinet_mm.structures import IGNORE_INDEX, ClassTable

VERSION = 2
"""Version of the rules of decision; raise it with them, so that old decisions aren't reused."""
SAMPLE = 64
"""Number of files in which the used entries of palettes are counted."""
INDEX, COLOURS, EITHER = 'index', 'colours', 'either'

Found = TypeVar('Found')
_decided: dict[str, dict[str, LabelStorage]] = {}


def decide_storage(spec: LabelSpec, files: Mapping[str, Sequence[str]]) -> LabelSpec:
    """Return the meaning of label files with the storage of each role decided.

    Args:
        spec: Meaning that the config states; its storage 'auto' is decided here.
        files: Label files of all pairs for the roles 'from', 'to' and 'change'; roles without
            files may be missing.

    Returns:
        The spec with ``storages`` filled in.

    Raises:
        LabelFormatError: The files of a role are stored in ways that contradict each other, or
            can be read in more than one way; the message names files and the option to set.
    """
    files = {role: list(dict.fromkeys(paths)) for role, paths in files.items() if paths}
    key = label_key(VERSION, spec, files)
    if key is not None:
        kept = _decided.get(key) or _read_kept(key)
        if kept is not None and set(kept) == set(files):
            _decided[key] = kept
            return replace(spec, storages=kept)
    storages = _decide(spec, files)
    if key is not None:
        _decided[key] = storages
        _keep(key, storages)
    return replace(spec, storages=storages)


def _decide(spec: LabelSpec, files: Mapping[str, Sequence[str]]) -> dict[str, LabelStorage]:
    storages: dict[str, LabelStorage] = {}
    semantic = {role: paths for role, paths in files.items() if role != CHANGE}
    if CHANGE in files and spec.change_storage == 'semantic':
        semantic[CHANGE] = files[CHANGE]
    elif CHANGE in files:
        storages[CHANGE] = _mask_storage(spec, files[CHANGE])
    if spec.transitions is not None:
        # One file for both dates; its values are transitions, not classes.
        by_colour = isinstance(spec.transitions.keys[0], tuple)
        number = len(spec.transitions.keys)
        storage = LabelStorage(
            'colours' if by_colour else 'index', reason=f'{number} types of transition'
        )
        storages = dict.fromkeys(semantic, storage)
        semantic = {}
    found: dict[str, RoleFacts] = {}
    for role, paths in semantic.items():
        stated = spec.semantic_storage(role)
        if stated.name == 'auto':
            found[role] = RoleFacts(role, paths, spec.table, stated.rules)
        else:
            storages[role] = stated
    if found:
        decided = semantic_storages(spec.semantic_storage(), found)
        decided = {role: replace(one, rules=found[role].rules) for role, one in decided.items()}
        storages.update(decided)
        _check_values(spec, found, storages)
    return {role: _with_statement(spec, role, storage) for role, storage in storages.items()}


def _mask_storage(spec: LabelSpec, paths: Sequence[str]) -> LabelStorage:
    stated = spec.mask_storage()
    if stated.name == 'soft':
        return decide_soft_storage(paths, stated)
    if stated.name != 'auto':
        return stated
    return decide_change_storage(paths, band=stated.rules.band)


def _with_statement(spec: LabelSpec, role: str, storage: LabelStorage) -> LabelStorage:
    """Return a storage that says what the user states; the rules stay in the spec."""
    return replace(storage, words='; '.join(spec.stated(role)), rules=ValueRules())


def decide_map_storage(spec: LabelSpec, files: Mapping[str, Sequence[str]]) -> LabelSpec:
    """Return the meaning of predicted maps with the storage of each role decided.

    Predictions may lack classes or hold a single one, and :func:`decide_storage` would mistake
    such maps for change masks. Nothing is kept in the cache.

    Args:
        spec: Meaning that the options state.
        files: Maps of all pairs for the roles 'from', 'to' and 'change'; roles without files may
            be missing.

    Raises:
        LabelFormatError: The files of a role are stored in ways that contradict each other.
    """
    semantic = {role: paths for role, paths in files.items() if role != CHANGE}
    stated = spec.semantic_storage()
    storages: dict[str, LabelStorage] = dict.fromkeys(semantic, stated)
    if stated.name == 'auto':
        storages = semantic_storages(stated, role_facts(spec.table, semantic))
    if CHANGE in files:
        storages[CHANGE] = decide_change_storage(files[CHANGE], spec.change_storage)
    return replace(spec, storages=storages)


# ------------------------------------------------------------------------------ semantic labels


@dataclass
class RoleFacts:
    """Evidence in headers and some pixels for the storage of the semantic labels of one role.

    Attributes:
        role: 'from', 'to' or 'change'.
        paths: All files.
        table: The classes.
        rules: Meaning of the values that the user states.
        kinds: Number of files of each kind: 'grey', 'palette', 'rgb'.
        examples: A file of each kind.
        palettes: Files of each stored palette.
        verdicts: A file for each of 'index', 'colours' and 'either' that was found.
    """

    role: str
    paths: Sequence[str]
    table: ClassTable
    rules: ValueRules = field(default_factory=ValueRules)
    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    palettes: dict[bytes, list[str]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the headers of all files, and pixels where headers aren't enough."""
        colour = []
        for path, header in zip(self.paths, read_label_headers(self.paths), strict=True):
            if header is None:
                continue  # The reader of its pixels raises the error.
            self.kinds[header.kind] += 1
            self.examples.setdefault(header.kind, path)
            if header.kind == PALETTE:
                self.palettes.setdefault(header.palette, []).append(path)
            elif header.kind == COLOUR:
                colour.append(path)
            else:
                self._check_bits(path, header)
                self.verdicts.setdefault(INDEX, path)
        self._judge_palettes()
        if colour:
            self.verdicts.setdefault(self._judge_colours(colour), colour[0])

    @property
    def trusted(self) -> bool:
        """True if class colours, in a palette or as RGB, confirm the meaning of the values."""
        return INDEX not in self.verdicts

    def decide(self) -> str:
        """Return 'index' or 'colours'.

        Raises:
            LabelFormatError: Some files hold indices, others colours.
        """
        if INDEX in self.verdicts and COLOURS in self.verdicts:
            raise LabelFormatError(
                f'{self.verdicts[INDEX]} holds class indices, {self.verdicts[COLOURS]} colours; '
                f'the labels of a data set ({self.role}: {self.reason()}) have to be stored in '
                'one way. Convert the smaller group, or leave it out by a list file (ann_file)'
            )
        return COLOURS if COLOURS in self.verdicts else INDEX

    def reason(self) -> str:
        """Return the number of files of each kind as text, for the log."""
        words = {GREY: 'grey', PALETTE: 'palette', COLOUR: 'RGB'}
        counted = ' and '.join(f'{number} {words[kind]}' for kind, number in self.kinds.items())
        return f'{counted or "no readable"} file{"s" * (self.kinds.total() != 1)}'

    def _check_bits(self, path: str, header: LabelHeader) -> None:
        if header.bits == 1 and self.table.num_classes > 1:
            raise LabelFormatError(
                f'{path} has 1 bit a pixel, which can not tell {self.table.num_classes} classes '
                'apart: it looks like a change mask, which belongs to data_prefix["seg_map_path"]; '
                'if 1 does mean the first class, set label_storage="index"'
            )

    def _judge_palettes(self) -> None:
        """Decide for each palette from its used entries if indices or colours are the classes."""
        files = [(palette, path) for palette, paths in self.palettes.items() for path in paths]
        step = max(1, len(files) // SAMPLE)
        sampled = files[::step]
        used: dict[bytes, set[int]] = {}
        example: dict[bytes, str] = {}
        looked = _look(lambda item: _present(item[1]), sampled)
        for (palette, path), present in zip(sampled, looked, strict=True):
            if present is not None:
                used.setdefault(palette, set()).update(present.tolist())
                example.setdefault(palette, path)
        for palette, values in used.items():
            verdict = self._judge_palette(example[palette], palette, np.array(sorted(values)))
            self.verdicts.setdefault(verdict, example[palette])
        if self.palettes and not used:
            self.verdicts.setdefault(EITHER, files[0][1])

    def _judge_palette(self, path: str, palette: bytes, present: np.ndarray) -> str:
        colours = np.frombuffer(palette, np.uint8).reshape(-1, 3)
        shift = self.rules.shift
        storage = LabelStorage(rules=self.rules)
        if palette_lookup(path, colours, present, self.table, storage) is not None:
            return COLOURS
        agree = all(
            index < len(colours) and tuple(colours[index]) == self.table.palette[index + shift]
            for index in present
            if index + shift <= self.table.num_classes
        )
        return EITHER if agree else INDEX

    def _judge_colours(self, paths: Sequence[str]) -> str:
        """Return 'index' if all RGB files are grey with values up to K, else 'colours'."""
        values: set[int] = set()
        for present in _look(_grey_values, paths):
            if present is None:
                continue
            if not len(present):
                return COLOURS
            values.update(present.tolist())
        known = {(v, v, v) in self.table.palette for v in values}
        small = 0 < max(values, default=0) <= self.table.num_classes - self.rules.shift
        return INDEX if small and False in known else COLOURS


def _present(path: str) -> np.ndarray | None:
    """Return the values that occur in a file, or None if it can't be read."""
    try:
        return present_values(read_stored_label(path).pixels)
    except (TFINetError, OSError):
        return None


def _grey_values(path: str) -> np.ndarray | None:
    """Return the grey values of an RGB file: empty for colours, None if it can't be read."""
    try:
        pixels = read_stored_label(path).pixels
    except (TFINetError, OSError):
        return None
    if pixels.ndim != 3 or not is_grey(pixels):
        return np.zeros(0, np.uint8)
    return present_values(np.ascontiguousarray(pixels[..., 0]))


def _look(look: Callable[..., Found], items: Sequence[object]) -> Iterator[Found]:
    """Yield ``look(item)`` of each item in order, by several threads; stop with the caller."""
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        # The first item alone, since it is enough in most data sets.
        start, size = 0, 1
        while start < len(items):
            yield from pool.map(look, items[start : start + size])
            start, size = start + size, 8 * threads


def role_facts(table: ClassTable, files: Mapping[str, Sequence[str]]) -> dict[str, RoleFacts]:
    """Return the evidence in the files of each role."""
    return {role: RoleFacts(role, paths, table) for role, paths in files.items()}


def semantic_storages(
    stated: LabelStorage, found: Mapping[str, RoleFacts]
) -> dict[str, LabelStorage]:
    """Return the storage of each role that its files show.

    Raises:
        LabelFormatError: The files are stored in ways that contradict each other.
    """
    check_foreign_palettes(list(found.values()))
    return {
        role: replace(stated, name=facts.decide(), reason=facts.reason())
        for role, facts in found.items()
    }


def check_foreign_palettes(roles: Sequence[RoleFacts]) -> None:
    """Refuse palettes that differ between files and hold colours of no class.

    A program that reduces RGB to a palette may order the colours of each file differently, so
    that one index means different classes. Both dates share one class table.

    Raises:
        LabelFormatError: Two palettes have different foreign colours at one index.
    """
    seen: dict[int, tuple[tuple[int, ...], str]] = {}
    for facts in roles:
        if COLOURS in facts.verdicts:
            continue
        for palette, paths in facts.palettes.items():
            for index, colour in _foreign_entries(palette, facts.table).items():
                first, path = seen.setdefault(index, (colour, paths[0]))
                if first != colour:
                    raise LabelFormatError(
                        f'{path} has the palette colour {first} at index {index}, {paths[0]} has '
                        f'{colour}: neither is in the class table '
                        f'{dict(zip(facts.table.names, facts.table.palette, strict=True))}, and '
                        'palettes that differ do not tell the class of an index. State the '
                        'colours (semantic_palette), or set label_storage="index" if the indices '
                        'are the classes in every file'
                    )


def _foreign_entries(palette: bytes, table: ClassTable) -> dict[int, tuple[int, ...]]:
    """Return the entries 0..K of a palette that are no class colours; none of a grey ramp."""
    colours = [tuple(colour) for colour in np.frombuffer(palette, np.uint8).reshape(-1, 3).tolist()]
    while colours and colours[-1] == (0, 0, 0):
        colours.pop()  # Writers fill the rest with black.
    if all(len(set(colour)) == 1 and colour[0] == index for index, colour in enumerate(colours)):
        return {}  # A grey ramp.
    entries = dict(enumerate(colours[: table.num_classes + 1]))
    return {index: colour for index, colour in entries.items() if colour not in table.palette}


def _check_values(
    spec: LabelSpec, found: Mapping[str, RoleFacts], storages: Mapping[str, LabelStorage]
) -> None:
    """Refuse labels whose indices as a whole contradict the config.

    Raises:
        LabelFormatError: They look like change masks, or hold 255 for "unchanged".
    """
    table = spec.table
    masked = CHANGE in storages
    needs_zero = spec.semantics == 'semantic_change' and not masked and not spec.shift
    mask_like = {}
    shift = spec.shift
    for role, facts in found.items():
        if facts.trusted or storages[role].name != INDEX:
            continue

        def enough(values: set[int]) -> bool:
            plain = table.num_classes - shift < 2 or any(2 <= v < IGNORE_INDEX for v in values)
            return plain and (0 in values or not needs_zero)

        values = _union(facts.paths, table, storages[role], enough)
        if IGNORE_INDEX in values and not values - {0, IGNORE_INDEX}:
            raise LabelFormatError(
                f'{facts.paths[0]} and the other labels ({role}) hold only 0 and 255: they look '
                'like change masks, not like class indices. A change mask belongs to '
                'data_prefix["seg_map_path"]; if 255 does mean ignored here, set '
                'label_storage="index"'
            )
        if needs_zero and IGNORE_INDEX in values and 0 not in values:
            raise LabelFormatError(
                f'{facts.paths[0]} and the other labels ({role}) hold 255 and never 0, so that no '
                'pixel would be unchanged; if 255 means unchanged, set unchanged_value=255, if '
                'it means ignored, give change masks as data_prefix["seg_map_path"]'
            )
        if table.num_classes - shift > 1 and 1 in values and values <= {0, 1, IGNORE_INDEX}:
            mask_like[role] = facts.paths
    for role, paths in mask_like.items():
        others = [one for one in (FROM, TO) if one in found and one != role]
        for other in others:
            _check_mask_like(spec, role, paths, found[other], storages[other])


def _check_mask_like(
    spec: LabelSpec,
    role: str,
    paths: Sequence[str],
    other: RoleFacts,
    storage: LabelStorage,
) -> None:
    """Refuse labels that hold class 1 only while the other date holds it and others."""

    def several(values: set[int]) -> bool:
        classes = values - {0, IGNORE_INDEX}
        return 1 in classes and len(classes) >= 3

    values = _union(other.paths, spec.table, storage, several)
    # Class colours on the other date show that these are labels, of one class in few pairs.
    same = not other.trusted and values <= {0, 1, IGNORE_INDEX}
    same = same and all(_look(_same_pixels, list(zip(paths, other.paths, strict=False))))
    if several(values) or same:
        name = spec.table.names[1 + spec.shift]
        raise LabelFormatError(
            f'{paths[0]} and the other labels ({role}) hold no other class than 1 '
            f'({name!r} of {spec.table.num_classes}): they look like change masks, which belong '
            'to data_prefix["seg_map_path"]. If every changed pixel is of that class, '
            'set label_storage="index"'
        )


def _same_pixels(pair: tuple[str, str]) -> bool:
    try:
        first, second = (read_stored_label(path).pixels for path in pair)
    except (TFINetError, OSError):
        return True
    return np.array_equal(first, second)


def _union(
    paths: Sequence[str],
    table: ClassTable,
    storage: LabelStorage,
    enough: Callable[[set[int]], bool],
) -> set[int]:
    """Return the classes that occur in files, read until ``enough`` is true of them."""
    shift = storage.rules.shift
    if storage.rules.zero_is == 'unknown':
        storage = replace(storage, rules=replace(storage.rules, zero_is=None))

    def classes(path: str) -> set[int]:
        try:
            present = present_values(read_semantic_label(path, table, storage).values)
        except (TFINetError, OSError):
            return set()
        # Classes as they are counted in files.
        return {int(v) if v == IGNORE_INDEX else int(v) - shift for v in present}

    values: set[int] = set()
    for found in _look(classes, paths):
        values |= found
        if enough(values):
            break
    return values


# --------------------------------------------------------------------------------- change masks


def decide_change_storage(
    paths: Sequence[str], stated: str = 'auto', band: int = 0
) -> LabelStorage:
    """Return the storage of the change masks of a data set.

    Masks are read until one holds a 1, which settles the meaning of 255. If none does, all of
    them are read.

    Args:
        paths: All files.
        stated: Storage that the config states.
        band: Band of the files that holds the mask, counted from 1; 0 for files of one band.

    Raises:
        LabelFormatError: Masks are stored in ways that contradict each other.
    """
    if stated != 'auto':
        return LabelStorage(stated)
    seen: dict[str, str] = {}
    counts: Counter[str] = Counter()
    look = partial(_mask_verdict, band=band) if band else _mask_verdict
    for path, verdict in zip(paths, _look(look, paths), strict=False):
        if verdict is None:
            continue
        counts[verdict] += 1
        if verdict != '0':
            seen.setdefault(verdict, path)
        if verdict == '0/1':
            break
    if '0/1' in seen and 'palette' in seen:
        raise LabelFormatError(
            f'{seen["palette"]} is a mask of black and white by its palette, {seen["0/1"]} one of '
            f'0 and 1; the masks of a data set have to be stored in one way. Convert them, or set '
            f'{WAYS}'
        )
    if '0/1' in seen:
        other = f', of {counts["0/255"]} files with 255 and no 1 as well' * bool(counts['0/255'])
        reason = f'{seen["0/1"]} holds 1, so 255 is ignored{other}'
        return LabelStorage('0/1', reason=reason)
    if seen:
        name = 'palette' if 'palette' in seen else '0/255'
        what = 'white, by its palette,' if name == 'palette' else '255'
        return LabelStorage(name, reason=f'no 1 in {counts.total()} files, so {what} is changed')
    return LabelStorage('0/1', reason=f'nothing but 0 in {counts.total()} files')


def decide_soft_storage(paths: Sequence[str], stated: LabelStorage) -> LabelStorage:
    """Return the storage of soft change masks, if their files can hold grey levels.

    Args:
        paths: All files.
        stated: Storage with threshold and margin.

    Raises:
        LabelFormatError: All files hold whole numbers of 0 and 1 only, which as grey levels
            of 8 bits would be unchanged everywhere.
    """
    ones: list[str] = []
    for path, verdict in zip(paths, _look(_soft_verdict, paths), strict=True):
        if verdict == 'levels':
            break
        if verdict == '0/1':
            ones.append(path)
    else:
        if ones:
            raise LabelFormatError(
                f'{ones[0]} and all other masks hold no whole number above 1, which as grey levels '
                'from 0 to 255 means unchanged everywhere; set change_storage="0/1" in place of '
                '"soft"'
            )
    ignored = f', ignored up to {stated.margin:g} from it' * (stated.margin > 0)
    return stated.with_reason(f'changed from {stated.threshold:g} on{ignored}')


def _soft_verdict(path: str) -> str | None:
    """Return 'levels' if a mask shows that its values are levels, '0/1' or '0' if it may not."""
    try:
        stored = read_stored_label(path, real_numbers=True)
    except (TFINetError, OSError):
        return None
    pixels = stored.pixels
    if pixels.dtype.kind == 'f' or stored.palette is not None or stored.bits < 8:
        return 'levels'
    highest = int(pixels.max(initial=0))
    return 'levels' if highest > 1 else '0/1' if highest else '0'


def _mask_verdict(path: str, band: int = 0) -> str | None:
    try:
        stored = read_label_bands(path, [band])[0] if band else read_stored_label(path)
    except (TFINetError, OSError):
        return None
    if stored.pixels.ndim == 3 and not is_grey(stored.pixels):
        return None
    return mask_evidence(path, stored)[0]


# -------------------------------------------------------------------------------------- keeping


def _read_kept(key: str) -> dict[str, LabelStorage] | None:
    def read(path: Path) -> dict[str, LabelStorage]:
        stored = json.loads(path.read_text(encoding='utf-8'))
        return {role: LabelStorage(**values) for role, values in stored.items()}

    return read_kept(f'{key}.json', read)


def _keep(key: str, storages: Mapping[str, LabelStorage]) -> None:
    kept = {role: asdict(storage) for role, storage in storages.items()}
    for storage in kept.values():
        del storage['rules']  # Part of the spec, and empty here.
    text = json.dumps(kept, indent=1)
    keep(f'{key}.json', lambda path: path.write_text(text, encoding='utf-8'))
