"""Read, predict and write the windows of a scene at the same time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from types import TracebackType
from typing import NamedTuple

import numpy as np

from tfinet_mm.io.images import Window
from tfinet_mm.scenes.blending import Prediction, Stripe, WindowPlan, blend, fill_invalid
from tfinet_mm.scenes.probabilities import BAND_NAMES, PROBABILITIES, kept_ranks
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.staging import Staging
from tfinet_mm.scenes.validity import BOTH_SEEN
from tfinet_mm.utils.prefetch import Consumer, map_ahead

Network = Callable[[np.ndarray], Sequence[np.ndarray]]
"""Function from pairs (N, 2B, h, w) to arrays (N, c, h, w) that are 2K + 1 maps together: the
probabilities of from and to, and P(changed)."""
# Bytes of blended probabilities that are made at a time, few enough for the processor's cache.
BLOCK_BYTES = 1 << 20


class LoadedWindow(NamedTuple):
    """Window that was read.

    Attributes:
        window: Its place in the scene.
        pair: (2B, h, w) with invalid pixels filled, or None where none is valid.
        valid: (h, w) bool.
        codes: (h, w) uint8, 1 where valid, see :mod:`tfinet_mm.scenes.validity`.
    """

    window: Window
    pair: np.ndarray | None
    valid: np.ndarray
    codes: np.ndarray


class WindowReader:
    """Reader of windows for any thread; each thread opens the files once.

    Args:
        open_pair: Function that opens the scene.
    """

    def __init__(self, open_pair: Callable[[], ScenePair]) -> None:
        self._open = open_pair
        self._own = threading.local()
        self._all: list[ScenePair] = []

    def __enter__(self) -> WindowReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pair in self._all:
            pair.close()

    def __call__(self, window: Window) -> LoadedWindow:
        """Read one window and fill its invalid pixels."""
        if not hasattr(self._own, 'pair'):
            self._own.pair = self._open()
            self._all.append(self._own.pair)
        pair, codes = self._own.pair.read_codes(window)
        valid = codes == BOTH_SEEN
        filled = fill_invalid(pair, valid) if valid.any() else None
        return LoadedWindow(window, filled, valid, codes)


def ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return runs of consecutive numbers: the first, and the one after the last.

    Example:
        >>> ranges([0, 1, 2, 5, 7, 8])
        [(0, 3), (5, 6), (7, 9)]
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1] = found[-1][0], number + 1
        else:
            found.append((number, number + 1))
    return found


def share(numbers: Sequence[int], rank: int, world: int) -> list[int]:
    """Return a process's part of some numbers: neighbours, in parts as equal as possible.

    Example:
        >>> [share([3, 4, 5, 6, 9], rank, 2) for rank in (0, 1)]
        [[3, 4, 5], [6, 9]]
    """
    size, more = divmod(len(numbers), world)
    start = rank * size + min(rank, more)
    return list(numbers[start : start + size + (rank < more)])


def needed_rows(plan: WindowPlan, numbers: Sequence[int]) -> list[list[Window]]:
    """Return the rows to predict so that some rows are the same as in a full run.

    Args:
        plan: The windows of the scene.
        numbers: Rising numbers of rows of windows.

    Returns:
        Those rows, and before each run of consecutive ones the rows that reach into it.
    """
    rows: list[list[Window]] = []
    for first, end in ranges(numbers):
        start = plan.first_needed(plan.stripes[first][0])
        rows.extend(islice(plan.rows(start), end - start))
    return rows


def predict_rows(
    plan: WindowPlan,
    numbers: Sequence[int],
    reader: WindowReader,
    network: Network,
    channels: int,
    staging: Staging,
    batch_size: int = 1,
    workers: int = 1,
    progress: Callable[[int], object] = lambda windows: None,
) -> None:
    """Predict rows of windows and write the rows of pixels that they complete.

    Threads read ahead, this one runs the network, another one blends and writes.
    Only a few batches wait between them, whatever the size of the scene. A batch
    is made of the windows of one row that have valid pixels, in their order, so
    it is the same whichever rows are predicted before or beside it.

    Args:
        plan: The windows of the scene.
        numbers: Rising numbers of the rows of windows to predict.
        reader: Reader of the windows.
        network: Function that predicts a batch.
        channels: Number of maps 2K + 1 that it gives.
        staging: Folder to write to.
        batch_size: Windows in a batch.
        workers: Threads that read; 0 reads between batches.
        progress: Function called with the number of windows predicted or skipped.

    Raises:
        Exception: The error of reading, the network or writing, as soon as it is
            raised; rows finished before are staged.
    """

    def write(batches: Iterator[list[Prediction]]) -> None:
        predictions = chain.from_iterable(batches)
        for first, end in ranges(numbers):
            done = plan.stripes[first][0]
            most_rows = max(BLOCK_BYTES // (4 * channels * plan.width), 1)
            stripes = blend(plan, predictions, channels, done, most_rows)
            for number in range(first, end):
                start, stop = plan.stripes[number]
                blocks = []
                for stripe in stripes:
                    blocks.append(staged_maps(stripe, staging.probabilities))
                    if stripe.top + len(stripe.valid) == stop:
                        break
                staging.write(
                    start,
                    {name: np.concatenate([one[name] for one in blocks]) for name in blocks[0]},
                )
                staging.mark(number)

    rows = needed_rows(plan, numbers)
    windows = chain.from_iterable(rows)
    loading = map_ahead(reader, windows, workers, ahead=workers + 2 * batch_size)
    with contextlib.closing(loading), Consumer(write) as writer:
        for row in rows:
            for batch in _batches(islice(loading, len(row)), batch_size):
                writer.put(_predicted(batch, network))
                progress(len(batch))


def _batches(row: Iterator[LoadedWindow], size: int) -> Iterator[list[LoadedWindow]]:
    """Yield the windows in their order, ``size`` valid ones at a time."""
    waiting: list[LoadedWindow] = []
    valid = 0
    for loaded in row:
        waiting.append(loaded)
        valid += loaded.pair is not None
        if valid == size:
            yield waiting
            waiting, valid = [], 0
    if waiting:
        yield waiting


def _predicted(batch: Sequence[LoadedWindow], network: Network) -> list[Prediction]:
    pairs = [loaded.pair for loaded in batch if loaded.pair is not None]
    made = zip(*network(np.stack(pairs)), strict=True) if pairs else iter(())
    return [
        Prediction(
            loaded.window,
            None if loaded.pair is None else next(made),
            loaded.valid,
            loaded.codes,
        )
        for loaded in batch
    ]


def staged_maps(stripe: Stripe, probabilities: bool = False) -> dict[str, np.ndarray]:
    """Return P(changed), the likelier class 1..K of each date, and validity of finished rows.

    Args:
        stripe: The rows.
        probabilities: Also return the bands of :mod:`tfinet_mm.scenes.probabilities`, as
            (rows, bands, width).

    Example:
        >>> values = np.array([0.9, 0.1, 0.3, 0.7, 0.25], np.float32).reshape(5, 1, 1)
        >>> maps = staged_maps(Stripe(0, values, np.array([[True]]), np.array([[1]], np.uint8)))
        >>> [maps[name].item() for name in sorted(maps)]
        [0.25, 1, 2, 1]
    """
    classes = len(stripe.values) // 2
    covers = (stripe.values[:classes], stripe.values[classes : 2 * classes])
    likeliest = [_likeliest(cover) * stripe.valid for cover in covers]
    maps = {
        'change_prob': stripe.values[-1],
        'land_cover_from': likeliest[0],
        'land_cover_to': likeliest[1],
        'valid': stripe.codes,
    }
    if probabilities:
        height, width = stripe.valid.shape
        # In the order of the staged file; np.concatenate would keep that of its arrays.
        maps[PROBABILITIES] = np.empty((height, len(BAND_NAMES), width), np.uint8)
        halves = np.split(maps[PROBABILITIES], 2, axis=1)
        for half, *date in zip(halves, covers, likeliest, strict=True):
            half[:] = kept_ranks(*date).swapaxes(0, 1)
    return maps


def _likeliest(probabilities: np.ndarray) -> np.ndarray:
    """Return the first class 1..K of the highest probability."""
    best = probabilities[0].copy()
    found = np.ones(best.shape, np.uint8)
    for number, values in enumerate(probabilities[1:], start=2):
        # Arithmetic takes NumPy a tenth of the time of masked assignments.
        higher = (values > best).view(np.uint8)
        np.maximum(found, higher * np.uint8(number), out=found)
        np.maximum(best, values, out=best)
    return found
