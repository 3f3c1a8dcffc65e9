"""Read the table of pairs of ``tfinet-predict``, and give its pairs names that don't collide."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tfinet_mm.utils.files import sample_file
from tfinet_mm.utils.places import BUCKET, HTTP, VIRTUAL, absolute, stem

TABLE_SUFFIX = '.csv'
QUALITY_COLUMNS = ('quality_before', 'quality_after')


class Row(NamedTuple):
    """Row of a table.

    Attributes:
        line: Number of its line in the file.
        name: Name that it states, or empty.
        written: Both paths as the table has them.
        before: Path of the image before.
        after: Path of the image after.
        quality: Quality band of each date, a path or ``PATH:BAND``; empty for a date without one,
            None where the table has no column for it.
    """

    line: int
    name: str
    written: tuple[str, str]
    before: str
    after: str
    quality: tuple[str | None, str | None] = (None, None)


def is_table(path: str) -> bool:
    """Return whether a word of the command line names a table of pairs."""
    return path.lower().endswith(TABLE_SUFFIX)


def read_table(path: Path) -> list[Row]:
    """Read a CSV file of pairs.

    Args:
        path: File with the columns ``before``, ``after`` and optionally ``name``,
            ``quality_before`` and ``quality_after``. Paths are relative to its folder; addresses
            and paths of GDAL (``/vsi...``) are taken as they are.

    Raises:
        ValueError: It is empty, lacks a column, has an unknown one for quality bands, a pair or a
            name twice, or a name that leads out of the folder of the results.
    """
    with path.open(encoding='utf-8-sig', newline='') as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        if missing := {'before', 'after'} - {*(reader.fieldnames or ())}:
            raise ValueError(
                f'{path} lacks the columns {sorted(missing)}, it has {reader.fieldnames}; '
                'its first line must be before,after or name,before,after'
            )
        columns = [*(reader.fieldnames or ())]
        # A misspelt one would leave clouds in without a word.
        if unknown := [
            one
            for one in columns
            if one.casefold().startswith('quality') and one not in QUALITY_COLUMNS
        ]:
            raise ValueError(
                f'{path} has the columns {unknown}; expected quality bands of scenes in the '
                f'columns {" and ".join(QUALITY_COLUMNS)}'
            )
        rows = []
        for row in reader:
            if None in row:
                raise ValueError(
                    f'{path} has {len(columns) + len(row[None])} cells in line {reader.line_num}, '
                    f'expected {len(columns)}: {", ".join(columns)}; name the others in the first '
                    'line, or put quotes around a cell with a comma'
                )
            written = (row['before'] or '').strip(), (row['after'] or '').strip()
            places = _place(path.parent, written[0]), _place(path.parent, written[1])
            before, after = (
                _cell(path.parent, row[one]) if one in columns else None for one in QUALITY_COLUMNS
            )
            name = row.get('name') or ''
            rows.append(Row(reader.line_num, name, written, *places, quality=(before, after)))
    if not rows:
        raise ValueError(f'{path} lists no pairs; expected a line for each below the first')
    _check(path, rows)
    return rows


def _place(folder: Path, written: str) -> str:
    if HTTP.match(written) or BUCKET.match(written) or written.startswith(VIRTUAL):
        return written
    return str(folder / written)


def _cell(folder: Path, written: str | None) -> str:
    """Return the place in a cell that may be empty, or missing at the end of a line."""
    written = (written or '').strip()
    return _place(folder, written) if written else ''


def _check(path: Path, rows: Sequence[Row]) -> None:
    names: dict[str, int] = {}
    pairs: dict[tuple[str, str], int] = {}
    for row in rows:
        for date, written in zip(('before', 'after'), row.written, strict=True):
            if not written:
                raise ValueError(
                    f'{path} has no image {date} in line {row.line}; complete or remove the line'
                )
        if row.name:
            try:
                sample_file('.', row.name, '')
            except ValueError as error:
                raise ValueError(f'line {row.line} of {path}: {error}') from None
            if row.name in names:
                raise ValueError(
                    f'{path} has two pairs called {row.name}, in lines {names[row.name]} and '
                    f'{row.line}; give each a name of its own'
                )
            names[row.name] = row.line
            continue
        # One file may be written in two ways.
        paths = absolute(row.before), absolute(row.after)
        if paths in pairs:
            raise ValueError(
                f'{path} has one pair twice, in lines {pairs[paths]} and {row.line}; remove '
                'one, or name them in a column name'
            )
        pairs[paths] = row.line


def row_names(rows: Sequence[Row], known: Mapping[tuple[str, str], str]) -> list[str]:
    """Return a name for the results of each row; no two are equal, in upper or lower case.

    A name depends on the rows, never on their order: the file name of the image before, or its
    path as written where several rows have that name, or that path and a hash of both paths.

    Args:
        rows: The rows.
        known: Names of earlier runs by the absolute paths of both images, which stay.

    Example:
        >>> rows = [Row(2, '', (f'{one}/a.tif', 'b.tif'), f'{one}/a.tif', 'b.tif') for one in 'xy']
        >>> row_names(rows, {})
        ['x/a', 'y/a']
    """
    taken = {row.name.casefold() for row in rows}
    kept = {paths: name for paths, name in known.items() if name.casefold() not in taken}
    said = [row.name or kept.get((absolute(row.before), absolute(row.after)), '') for row in rows]
    open_rows = [number for number, name in enumerate(said) if not name]
    for make in (_stem, _path, _hashed):
        for number in open_rows:
            said[number] = make(rows[number])
        counts = Counter(name.casefold() for name in said)
        open_rows = [number for number in open_rows if counts[said[number].casefold()] > 1]
    return said


def _stem(row: Row) -> str:
    return stem(row.before)


def _path(row: Row) -> str:
    """Return the path of the image before as written, without what would lead elsewhere."""
    written = row.written[0]
    if found := HTTP.match(written):
        written = written[found.end() :].partition('?')[0]
    if found := BUCKET.match(written):
        written = written[found.end() :]
    parts = PurePosixPath(written.replace(os.sep, '/').replace(':', '_')).parts
    kept = [part for part in parts[:-1] if part not in ('/', '.', '..')]
    return '/'.join([*kept, stem(row.before)])


def _hashed(row: Row) -> str:
    content = hashlib.sha256('\n'.join(row.written).encode('utf-8', 'surrogateescape'))
    return f'{_path(row)}-{content.hexdigest()[:8]}'
