"""Number the connected parts of a graph."""

from __future__ import annotations

import numpy as np


def connected(size: int, first: np.ndarray, second: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the number of connected parts, and that of each node.

    Each node points to a smaller one of its part, or to itself. Links join the nodes that their
    ends point to, until none is left that joins two parts.

    Args:
        size: Number of nodes.
        first: Node at one end of each link.
        second: Node at the other end.

    Returns:
        The count, and (size,) whole numbers from 0, in the order of the parts' smallest nodes.

    Example:
        >>> count, numbers = connected(4, np.array([0, 3]), np.array([2, 3]))
        >>> count, numbers.tolist()
        (3, [0, 1, 0, 2])
    """
    root = np.arange(size)
    while len(first):
        np.minimum.at(root, np.maximum(first, second), np.minimum(first, second))
        while (root[root] != root).any():
            root = root[root]
        first, second = root[first], root[second]
        apart = first != second
        first, second = first[apart], second[apart]
    smallest = root == np.arange(size)
    return int(smallest.sum()), (np.cumsum(smallest) - 1)[root]
