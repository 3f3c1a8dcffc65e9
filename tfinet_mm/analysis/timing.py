"""Measure time and memory of a call."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

MIB = 2**20


def timed(
    function: Callable[[], Any], warmup: int = 1, repeats: int = 5, seconds: float = 30.0
) -> list[float]:
    """Call a function several times and time each call.

    Args:
        function: Function to call.
        warmup: Number of calls before the timed ones.
        repeats: Greatest number of timed calls.
        seconds: Time after which no further call begins; one is always made.

    Returns:
        Duration of each timed call in seconds.
    """
    for _ in range(warmup):
        function()
    times: list[float] = []
    begin = time.perf_counter()
    while not times or (len(times) < repeats and time.perf_counter() - begin < seconds):
        _synchronize()
        start = time.perf_counter()
        function()
        _synchronize()
        times.append(time.perf_counter() - start)
    return times


class PeakMemory:
    """Peak memory since the object was made, less the memory in use at that time."""

    def __init__(self) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
            return
        # Memory that was freed but kept by the allocator would hide growth.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL('libc.so.6').malloc_trim(0)
        # Linux can reset the peak; elsewhere the peak is that of the whole process.
        with contextlib.suppress(OSError):
            Path('/proc/self/clear_refs').write_text('5')
        self._before = _resident_peak()

    def mib(self) -> float:
        """Return the peak in MiB."""
        if torch.cuda.is_available():
            return (torch.cuda.max_memory_allocated() - self._before) / MIB
        return (_resident_peak() - self._before) / MIB


def _synchronize() -> None:
    """Wait for the GPU to finish, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _resident_peak() -> int:
    """Return the peak resident memory of this process in bytes."""
    with contextlib.suppress(OSError):
        for line in Path('/proc/self/status').read_text().splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) * 1024
    import resource  # not there on Windows, where only this function needs it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024
