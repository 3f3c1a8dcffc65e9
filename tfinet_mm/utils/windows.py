"""Place sliding windows over an image."""

import warnings
from collections.abc import Sequence

LEAST_WINDOW = 64
"""Side below which a window warns: two pixels of the deepest features of most networks."""


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Return the first pixels of the windows that cover one axis.

    Args:
        length: Pixels of the axis, >= 1.
        window: Pixels of a window, >= 1.
        stride: Pixels from one window to the next, 1..window.

    Returns:
        Starts in rising order; the last window ends with the axis. One start,
        0, where the window is as long as the axis or longer.

    Example:
        >>> window_starts(10, 4, 3)
        [0, 3, 6]
        >>> window_starts(11, 4, 3)
        [0, 3, 6, 7]
        >>> window_starts(3, 4, 3)
        [0]
    """
    last = max(length - window, 0)
    return [*range(0, last, stride), last]


def height_width(value: int | Sequence[int]) -> tuple[int, int]:
    """Return (height, width) of a side, or of both.

    Raises:
        ValueError: There are more or fewer than two numbers.

    Example:
        >>> height_width(4), height_width([4, 6])
        ((4, 4), (4, 6))
    """
    if isinstance(value, int):
        return value, value
    if len(value) != 2:
        raise ValueError(f'expected one number of pixels or (height, width), got {tuple(value)}')
    return int(value[0]), int(value[1])


def size_and_stride(
    window: int | Sequence[int], overlap: int | Sequence[int] | None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size of sliding windows, and the pixels from one to the next.

    Args:
        window: Side of a window in pixels, or (height, width).
        overlap: Pixels that neighbours share, or (vertical, horizontal); by
            default a quarter of the window.

    Returns:
        Two tuples, (height, width) and (vertical, horizontal).

    Raises:
        ValueError: A window is empty, or all overlap.

    Example:
        >>> size_and_stride(8, None)
        ((8, 8), (6, 6))
    """
    size = height_width(window)
    shared = (size[0] // 4, size[1] // 4) if overlap is None else height_width(overlap)
    if min(size) < 1 or any(not 0 <= o < w for o, w in zip(shared, size, strict=True)):
        raise ValueError(
            'window must be 1 pixel or more and overlap 0 up to window - 1, got '
            f'window={window} and overlap={overlap}'
        )
    return size, (size[0] - shared[0], size[1] - shared[1])


def warn_of_small_windows(size: Sequence[int], stacklevel: int = 3) -> None:
    """Warn of windows that show a network too little of the surroundings of a pixel.

    Args:
        size: Sides of a window in pixels.
        stacklevel: Place that the warning names, see :func:`warnings.warn`.
    """
    if min(size) < LEAST_WINDOW:
        warnings.warn(
            f'windows of {" x ".join(map(str, size))} pixels show the network '
            'little of what is around a pixel, and their maps differ from those of large windows; '
            f'expected {LEAST_WINDOW} or more: set window (--window) to the side of the pictures '
            'that the network was trained on, or leave it out',
            stacklevel=stacklevel,
        )
