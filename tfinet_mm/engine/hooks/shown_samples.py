"""Choose the samples of a data set that are shown while training."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from tfinet_mm.structures import sample_name


def spread_indices(size: int, number: int, interval: int | None = None) -> list[int]:
    """Spread indices of samples over a data set.

    Args:
        size: Samples in the data set.
        number: Number of samples to take, the middle ones of as many equal parts.
        interval: Take every n-th from the first instead, none if 0.

    Returns:
        Increasing indices, each once.

    Example:
        >>> spread_indices(100, 4), spread_indices(3, 8), spread_indices(10, 8, interval=4)
        ([12, 37, 62, 87], [0, 1, 2], [0, 4, 8])
    """
    if interval is not None:
        return list(range(0, size, interval)) if interval else []
    number = min(number, size)
    return [(2 * part + 1) * size // (2 * number) for part in range(number)]


def sample_key(sample: Any) -> Hashable:
    """Return the key of a data sample or its ``data_info``: its name and first file."""
    paths = sample.get('img_path') or [None]
    path = paths if isinstance(paths, str) else paths[0]
    return sample.get('sample_id'), None if path is None else str(path)


def shown_samples(dataset: Any, indices: Sequence[int]) -> dict[Hashable, str]:
    """Return the keys of samples, each with a suffix that tells equal names apart.

    Args:
        dataset: One of MMEngine's, or any other with a length.
        indices: Indices of the samples in it.

    Returns:
        For each sample its :func:`sample_key`, which doesn't depend on the order or the
        process in which it is loaded; its index where the data set has no
        ``get_data_info``. The suffix is empty, or ``~2``, ``~3`` and so on where
        joined data sets have samples of one name.
    """
    if not hasattr(dataset, 'get_data_info'):
        return dict.fromkeys(indices, '')
    shown: dict[Hashable, str] = {}
    names: dict[str, int] = {}
    for index in indices:
        info = dataset.get_data_info(index)
        key, name = sample_key(info), str(sample_name(info))
        if key not in shown:
            names[name] = names.get(name, 0) + 1
            shown[key] = f'~{names[name]}' if names[name] > 1 else ''
    return shown
