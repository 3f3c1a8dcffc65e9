"""Place sliding windows over an image."""


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
