"""Tell how each pair of ``tfinet-predict`` ended: a table in its folder, and the failures."""

from __future__ import annotations

import csv
import errno
import io
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tfinet_mm.apis.command_output import FOLDERS, Pair
from tfinet_mm.utils.command import is_expected, message_of
from tfinet_mm.utils.files import whole_file

RESULTS_FILE = 'results.csv'
COLUMNS = ('pair', 'before', 'after', 'out', 'state', 'seconds', 'error')
PREDICTED, FINISHED, FAILED, LEFT = 'predicted', 'finished', 'failed', 'left'
"""States of a pair: by this run, by an earlier one, failed, and not tried."""
SOME_FAILED = 3
"""Exit status of a command of which some pairs failed."""
MOST = 20
"""Failed pairs that are shown."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that the next pair would end with as well."""


class Outcome(NamedTuple):
    """End of a pair.

    Attributes:
        state: One of the states.
        seconds: Time that it took, None where that isn't known.
        error: Reason of a failure.
    """

    state: str
    seconds: float | None = None
    error: str = ''


def failure(error: Exception, seconds: float | None = None) -> Outcome:
    """Return the outcome of a pair that ended with an error; that of a bug is printed in full."""
    if not is_expected(error):
        traceback.print_exception(error)
    return Outcome(
        FAILED, seconds, f'{type(error).__name__}: {" ".join(message_of(error).split())}'
    )


def ends_the_run(error: Exception) -> bool:
    """Return whether an error leaves no chance to the pairs that follow, as a full disk does."""
    return isinstance(error, OSError) and error.errno in NO_ROOM


def write_outcomes(out: Path, pairs: Sequence[Pair], outcomes: Mapping[str, Outcome]) -> None:
    """Write ``results.csv``, a line for each pair, unless it is there with the same content.

    The seconds of pairs that an earlier run predicted stay.

    Args:
        out: The folder.
        pairs: All pairs.
        outcomes: The outcome of each pair by its name; without one it was not tried.
    """
    path = out / RESULTS_FILE
    earlier = _earlier_seconds(path)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for pair in pairs:
        outcome = outcomes.get(pair.name, Outcome(LEFT))
        seconds = '' if outcome.seconds is None else f'{outcome.seconds:.3f}'
        if outcome.state == FINISHED:
            seconds = earlier.get(pair.name, '')
        made = pair.name if pair.kind == 'scene' else f'{FOLDERS[0]}/{pair.name}.png'
        row = (pair.name, pair.before, pair.after, made, outcome.state, seconds, outcome.error)
        writer.writerow(row)
    data = text.getvalue().encode('utf-8', 'surrogateescape')
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    with whole_file(path) as partial:
        partial.write_bytes(data)


def _earlier_seconds(path: Path) -> dict[str, str]:
    """Return the seconds of finished pairs in an earlier table."""
    try:
        with path.open(encoding='utf-8', errors='surrogateescape', newline='') as file:
            return {
                row['pair']: row['seconds']
                for row in csv.DictReader(file)
                if row['state'] in (PREDICTED, FINISHED)
            }
    except (OSError, KeyError, csv.Error):
        return {}


def show_failures(out: Path, total: int, failures: Mapping[str, str], table: bool = True) -> None:
    """Print the failed pairs and their reasons to the error output.

    Args:
        out: The folder.
        total: Number of all pairs.
        failures: Reasons by name.
        table: ``results.csv`` was written.
    """
    shown = dict(list(failures.items())[:MOST])
    width = max(map(len, shown))
    lines = [f'{len(failures)} of {total} pairs failed:']
    lines += [f'  {name:<{width}}  {reason}' for name, reason in shown.items()]
    if len(failures) > MOST:
        lines.append(f'  and {len(failures) - MOST} more')
    where = f'All pairs are in {out / RESULTS_FILE}. ' if table else ''
    lines.append(f'{where}Start the command again to predict what is left')
    print('\n'.join(lines), file=sys.stderr, flush=True)
