"""Let one rank do something for all ranks, such as reading a checkpoint."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Result = TypeVar('Result')

_shared = ContextVar('tfinet_mm_one_rank_reads', default=False)


def get_dist_info() -> tuple[int, int]:
    """Return the rank of this process and the number of processes; (0, 1) for one alone.

    A process that hasn't imported torch is alone, so torch isn't imported for the answer.
    """
    torch: Any = sys.modules.get('torch')
    if torch is None or not torch.distributed.is_available():
        return 0, 1
    if not torch.distributed.is_initialized():
        return 0, 1
    return int(torch.distributed.get_rank()), int(torch.distributed.get_world_size())


@contextmanager
def one_rank_reads() -> Iterator[None]:
    """Read each checkpoint in the block on the first rank alone, and send it to the others.

    Every rank must run the block, and read the same files in the same order.
    Outside such a block each process reads its own files, so a model can be
    loaded in another distributed program without ranks that wait for each other.
    """
    token = _shared.set(True)
    try:
        yield
    finally:
        _shared.reset(token)


@contextmanager
def each_rank_reads() -> Iterator[None]:
    """Undo :func:`one_rank_reads` in the block, for work of one rank without the others."""
    token = _shared.set(False)
    try:
        yield
    finally:
        _shared.reset(token)


def on_first_rank(make: Callable[[], Result]) -> Result:
    """Call a function in the first process alone; all processes get its result or its error.

    The result is pickled for the others. In a single process the function is
    simply called.
    """
    outcome: list[Any] = [None, None]
    if get_dist_info()[0] == 0:
        try:
            with each_rank_reads():
                outcome[0] = make()
        except Exception as error:
            outcome[1] = error
    if get_dist_info()[1] > 1:
        from mmengine.dist import broadcast_object_list

        broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def on_each_rank(work: Callable[[], Result]) -> Result:
    """Call a function in every process, and raise an error of any of them in all of them.

    Every process waits for all others, so that none waits later for one that has failed.
    """
    error: Exception | None = None
    try:
        result = work()
    except Exception as raised:
        error = raised
    errors = gather(error)
    if error is not None:
        raise error
    for one in errors:
        if one is not None:
            raise one
    return result


def gather(value: Result) -> list[Result]:
    """Return the values of all processes, in the order of their ranks, in each of them."""
    if get_dist_info()[1] == 1:
        return [value]
    from mmengine.dist import all_gather_object

    return list(all_gather_object(value))


def is_first_rank() -> bool:
    """Return whether this process is the one that prints, even before a Runner exists."""
    return os.environ.get('RANK', '0') == '0'


def read_once(
    read: Callable[[], Result], read_for_all: Callable[[], Result] | None = None
) -> Result:
    """Call a function, on the first rank alone in a block of :func:`one_rank_reads`.

    Args:
        read: Function that reads an object that can be pickled.
        read_for_all: Function called in its place where other ranks get the result.

    Returns:
        The object.

    Raises:
        Exception: The error of the function, on every rank.
    """
    if not _shared.get() or get_dist_info()[1] == 1:
        return read()
    return on_first_rank(read_for_all or read)
