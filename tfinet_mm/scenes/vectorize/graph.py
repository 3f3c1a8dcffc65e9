"""Number the connected parts of a graph; SciPy is imported where there is one."""

from __future__ import annotations

import numpy as np

from tfinet_mm.io.rasters import import_geo


def connected(size: int, first: np.ndarray, second: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the number of connected parts, and that of each node.

    Args:
        size: Number of nodes.
        first: Node at one end of each link.
        second: Node at the other end.

    Returns:
        The count, and (size,) whole numbers from 0.

    Raises:
        MissingExtraError: SciPy isn't installed.

    Example:
        >>> count, numbers = connected(4, np.array([0, 3]), np.array([2, 3]))
        >>> count, numbers.tolist()
        (3, [0, 1, 0, 2])
    """
    sparse = import_geo('scipy.sparse', 'Connecting pixels')
    csgraph = import_geo('scipy.sparse.csgraph', 'Connecting pixels')
    links = sparse.coo_array((np.ones(len(first), bool), (first, second)), shape=(size, size))
    count, numbers = csgraph.connected_components(links, directed=False)
    return int(count), numbers
