"""Let one rank read a checkpoint for all ranks, where the program asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from mmengine.dist import get_world_size

Result = TypeVar('Result')

_shared = ContextVar('tfinet_mm_one_rank_reads', default=False)


@contextmanager
def one_rank_reads() -> Iterator[None]:
    """Read each checkpoint in the block on the first rank alone, and send it to the others.

    Every rank must run the block, and read the same in the same order. Outside
    of such a block each process reads for itself, so a model can be loaded in
    another distributed program without ranks that wait for each other.
    """
    token = _shared.set(True)
    try:
        yield
    finally:
        _shared.reset(token)


@contextmanager
def each_rank_reads() -> Iterator[None]:
    """Undo :func:`one_rank_reads` in the block, for what a rank does without the others."""
    token = _shared.set(False)
    try:
        yield
    finally:
        _shared.reset(token)


def read_once(
    read: Callable[[], Result], read_for_all: Callable[[], Result] | None = None
) -> Result:
    """Call a function; in a block of :func:`one_rank_reads` on the first rank alone.

    Args:
        read: Reads something that can be pickled.
        read_for_all: Called in its place where others get the result.

    Returns:
        What it returned.

    Raises:
        Exception: Whatever ``read`` raises, on every rank.
    """
    if not _shared.get() or get_world_size() == 1:
        return read()
    # Here, since that module uses this one.
    from tfinet_mm.engine.launch import on_first_rank

    return on_first_rank(read_for_all or read)
