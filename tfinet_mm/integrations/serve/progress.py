"""Read how far a prediction is from what it has printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

TAIL = 8192
"""Bytes of a log in which its newest bar is looked for."""
LONGEST_LOG = 200_000
"""Most bytes of a log that are shown, the last ones."""
WARNING = re.compile(r'(?:.*\d/\d+ \[[^\[\]]*\])?warning: (.*)')
"""Line of a warning, also behind a bar, which leaves the line open."""
MOST_WARNINGS = 20
BAR = re.compile(r'(\d+)/(\d+) \[[^\[\]\r\n]*?(window|pair|file)(?:/s)?[\],]')


class Progress(NamedTuple):
    """State of a prediction.

    Attributes:
        done: Number of units that are done.
        total: Number of all.
        unit: 'window', 'pair' or 'file', the last for the files of results.
    """

    done: int
    total: int
    unit: str


def read_progress(log: Path) -> Progress | None:
    """Return the newest progress in a log, None before the first bar."""
    found = BAR.findall(_tail(log, TAIL))
    if not found:
        return None
    done, total, unit = found[-1]
    return Progress(int(done), int(total), unit)


def read_log(log: Path) -> str:
    """Return the text of a log, each progress bar as it was last drawn."""
    lines = _tail(log, LONGEST_LOG).replace('\r\n', '\n').split('\n')
    return '\n'.join(line.rstrip('\r').rpartition('\r')[2] for line in lines)


def read_warnings(log: Path) -> list[str]:
    """Return the warnings in a log, each once, the first :data:`MOST_WARNINGS` of them."""
    # The whole log: those about the files stand before the bars of a long prediction.
    try:
        with log.open(encoding='utf-8', errors='replace', newline='\n') as file:
            lines = (line.rstrip('\r\n').rpartition('\r')[2] for line in file)
            found = [match[1] for match in map(WARNING.match, lines) if match]
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(found))[:MOST_WARNINGS]


def _tail(path: Path, size: int) -> str:
    """Return the last bytes of a file as text, empty where there is no file."""
    try:
        with path.open('rb') as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - size))
            return file.read(size).decode('utf-8', 'replace')
    except FileNotFoundError:
        return ''
