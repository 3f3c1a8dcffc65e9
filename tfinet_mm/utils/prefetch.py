"""Work beside the main thread: read ahead, pass results on, and call functions."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar('Item')
Made = TypeVar('Made')


def map_ahead(
    function: Callable[[Item], Made], items: Iterable[Item], workers: int, ahead: int
) -> Generator[Made, None, None]:
    """Apply a function in threads, ahead of the caller that takes the results.

    Args:
        function: Function that ``workers`` threads call.
        items: Its arguments, taken as they are needed, in the caller's thread.
        workers: Number of threads; 0 calls the function where the result is taken.
        ahead: Greatest number of results and running calls, besides the result taken.

    Yields:
        The results in the order of the items. An error of a call is raised in
        place of its result. No call starts after that, nor after the iterator
        is closed.

    Raises:
        ValueError: ``workers`` is below 0, or ``ahead`` below 1.

    Example:
        >>> list(map_ahead(str.upper, 'abc', workers=2, ahead=2))
        ['A', 'B', 'C']
    """
    if workers < 0 or ahead < 1:
        raise ValueError(f'workers must be 0 or more, ahead 1 or more; got {workers} and {ahead}')
    if workers == 0:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def beside(
    *functions: Callable[[], object], done: Callable[[], object] = lambda: None
) -> Iterator[Callable[[], None]]:
    """Call functions in a thread, one after the other, while the block runs.

    Leaving the block waits for them. Where a function or the block raises, no further function
    starts.

    Args:
        *functions: The functions.
        done: Function that the thread calls after each of them.

    Yields:
        A function that raises the error of the one that failed, if any. A long block calls it now
        and then.

    Raises:
        Exception: The error of the function that failed, or else that of the block, as if the
            functions had been called before it.

    Example:
        >>> made = []
        >>> with beside(lambda: made.append('a'), lambda: made.append('b')):
        ...     pass
        >>> made
        ['a', 'b']
    """

    def work() -> None:
        for function in functions:
            if stopped.is_set():
                return
            function()
            done()

    def check() -> None:
        if result.done():
            result.result()

    stopped = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(work)
        try:
            yield check
        except BaseException as error:
            stopped.set()
            if isinstance(error, Exception):
                result.result()
            raise
    result.result()


class Consumer(Generic[Item]):
    """Thread that takes items in the order they are put.

    It is used as a context manager. Leaving the block waits until all items are
    done; where the block raises, the thread gets no more items and its
    ``function`` ends at the next one. An error of the function is raised by the
    next :meth:`put`, or on leaving.

    Args:
        function: Function called once, in the thread, with an iterator over the items.
        size: Greatest number of items that wait; :meth:`put` waits for room.
    """

    def __init__(self, function: Callable[[Iterator[Item]], None], size: int = 1) -> None:
        self._items: deque[Item] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(function,), daemon=True)

    def __enter__(self) -> Consumer[Item]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._changed:
            self._ended = True
            if kind is not None:
                self._items.clear()
                self._error = self._error or _Abandoned()
            self._changed.notify_all()
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def put(self, item: Item) -> None:
        """Pass an item on, once fewer than ``size`` items wait.

        Raises:
            Exception: The error that ended the function.
            RuntimeError: The function has returned before the last item.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._size or self._ended)
            if self._error is not None:
                raise self._error
            if self._ended:
                raise RuntimeError('the thread that takes the items has ended already')
            self._items.append(item)
            self._changed.notify_all()

    def _work(self, function: Callable[[Iterator[Item]], None]) -> None:
        error: BaseException | None = None
        try:
            function(self._taken())
        except _Abandoned:
            pass
        except BaseException as raised:
            error = raised
        with self._changed:
            self._ended = True
            self._error = self._error or error
            self._items.clear()
            self._changed.notify_all()

    def _taken(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if isinstance(self._error, _Abandoned):
                    raise self._error
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class _Abandoned(Exception):
    """No further items will be put."""
