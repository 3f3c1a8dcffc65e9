"""Run a program with progress and cancel; knows nothing of QGIS, so that it can be tested alone."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Variables by which QGIS's own Python, GDAL and PROJ would get into another environment.
FOREIGN = (
    'GDAL_DATA',
    'GDAL_DRIVER_PATH',
    'PROJ_DATA',
    'PROJ_LIB',
    'PYTHONHOME',
    'PYTHONPATH',
    'QT_PLUGIN_PATH',
)
_BAR = re.compile(r'(\d+)%\|.*?\| *(\d+)/(\d+) \[[^\]]*?(window|file)')
# Windows take nearly all of the time, the files after them the rest.
_SHARES = {'window': (0.0, 90.0), 'file': (90.0, 10.0)}
_PATIENCE_S = 10.0


class Cancelled(Exception):
    """The user cancelled."""


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment without those that belong to QGIS's own Python.

    Args:
        environment: Variables such as ``os.environ``.

    Example:
        >>> clean_environment({'PATH': '/bin', 'PYTHONHOME': '/opt/qgis', 'PROJ_LIB': '/opt/p'})
        {'PATH': '/bin', 'PYTHONUTF8': '1', 'PYTHONUNBUFFERED': '1'}
    """
    kept = {name: value for name, value in environment.items() if name not in FOREIGN}
    return kept | dict(PYTHONUTF8='1', PYTHONUNBUFFERED='1')


def progress_of(line: str) -> float | None:
    """Return the percentage that a progress bar of ``tfinet predict`` stands for, or None.

    Args:
        line: A line of the program's output.

    Example:
        >>> progress_of('before:  50%|#####     | 2/4 [00:08<00:08,  4.50s/window]')
        45.0
        >>> progress_of('before:  50%|#####     | 4/8 [00:00<00:00, 18.50file/s]')
        95.0
        >>> progress_of('Registration: after lies 0.65 px west of before') is None
        True
    """
    found = _BAR.search(line)
    if found is None:
        return None
    start, share = _SHARES[found[4]]
    return start + share * int(found[2]) / max(1, int(found[3]))


def run(
    words: Sequence[str],
    *,
    on_line: Callable[[str], object],
    on_progress: Callable[[float], object] = lambda percent: None,
    is_cancelled: Callable[[], bool] = lambda: False,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Run a program, and pass on each line that it prints and how far it is.

    Args:
        words: The program and its arguments.
        on_line: Called with each line of the output that isn't a progress bar.
        on_progress: Called with a percentage whenever a bar moves.
        is_cancelled: Asked several times a second; once it is True, the program and the
            processes that it started are stopped.
        environment: Variables of the program; by default this process's, cleaned by
            :func:`clean_environment`.

    Returns:
        The exit status, and the lines that were printed.

    Raises:
        FileNotFoundError: There is no such program.
        Cancelled: ``is_cancelled`` became True.
    """
    variables = clean_environment(os.environ if environment is None else environment)
    own_group: dict[str, Any] = (
        dict(creationflags=subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW)
        if os.name == 'nt'
        else dict(start_new_session=True)
    )
    # Bars move by a carriage return, which counts as the end of a line in a text stream.
    process = subprocess.Popen(
        list(words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=variables,
        encoding='utf-8',
        errors='replace',
        **own_group,
    )
    waiting: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            waiting.put(line.rstrip())
        waiting.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    lines: list[str] = []
    while True:
        if is_cancelled():
            stop(process)
            raise Cancelled('cancelled; the next run with the same settings resumes')
        try:
            line = waiting.get(timeout=0.2)
        except queue.Empty:
            continue
        if line is None:
            break
        if not line:
            continue
        percent = progress_of(line)
        if percent is not None:
            on_progress(percent)
        else:
            lines.append(line)
            on_line(line)
    return process.wait(), lines


def stop(process: subprocess.Popen[str]) -> None:
    """Stop a program and the processes that it started, first politely.

    Args:
        process: One that :func:`run` started.
    """
    if os.name == 'nt':
        subprocess.run(['taskkill', '/F', '/T', '/PID', str(process.pid)], capture_output=True)
        process.wait()
        return
    for kind, seconds in ((signal.SIGINT, _PATIENCE_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
        return
