"""Which samples of a data set to follow while training."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any


def positions(size: int, number: int, interval: int | None = None) -> list[int]:
    """Places of samples spread over a data set.

    Args:
        size: Samples in the data set.
        number: How many to take: the middle one of each of as many equal parts.
        interval: Take every n-th from the first instead, none if 0.

    Returns:
        Increasing positions, each once.

    Example:
        >>> positions(100, 4), positions(3, 8), positions(10, 8, interval=4)
        ([12, 37, 62, 87], [0, 1, 2], [0, 4, 8])
    """
    if interval is not None:
        return list(range(0, size, interval)) if interval else []
    number = min(number, size)
    return [(2 * part + 1) * size // (2 * number) for part in range(number)]


def sample_key(sample: Any) -> Hashable:
    """What tells a data sample or its ``data_info`` from all others: its name and first file."""
    paths = sample.get('img_path') or [None]
    path = paths if isinstance(paths, str) else paths[0]
    return sample.get('sample_id'), None if path is None else str(path)


def chosen_samples(dataset: Any, places: Sequence[int]) -> dict[Hashable, str]:
    """Keys of the samples at some places, each with a suffix that tells equal names apart.

    Args:
        dataset: One of MMEngine's, or any other with a length.
        places: Positions in it.

    Returns:
        For each sample its :func:`sample_key`, whatever the order it is loaded in and by
        which process; its position where the data set has no ``get_data_info``. The
        suffix is empty, or ``~2``, ``~3`` and so on where data sets put together have
        samples of one name.
    """
    if not hasattr(dataset, 'get_data_info'):
        return dict.fromkeys(places, '')
    chosen: dict[Hashable, str] = {}
    names: dict[str, int] = {}
    for place in places:
        info = dataset.get_data_info(place)
        key, name = sample_key(info), str(info.get('sample_id'))
        if key not in chosen:
            names[name] = names.get(name, 0) + 1
            chosen[key] = f'~{names[name]}' if names[name] > 1 else ''
    return chosen
