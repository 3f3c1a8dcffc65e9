"""Trace the outlines of regions of pixels, in pixels, all regions of a block at once.

An outline is made of edges: straight lines along rows or columns that have the region on their
right as one walks along them. Those of a region that reaches over several blocks are collected,
joined where blocks met, and then followed. The time for this grows with the number of edges, even
for one region with a million holes.

shapely, of the extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.vectorize.components import PixelRuns
from tfinet_mm.scenes.vectorize.graph import connected


class Edges(NamedTuple):
    """Edges of regions.

    Attributes:
        owner: Number of the region.
        vertical: 0 along a row, 1 along a column.
        line: The row or column of pixels' corners that it lies on.
        low: The end along that line with the smaller number.
        high: The end with the larger number.
        sign: 1 where it goes from low to high, else -1.
    """

    owner: np.ndarray
    vertical: np.ndarray
    line: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sign: np.ndarray

    def take(self, chosen: np.ndarray) -> Edges:
        """Return some of the edges, by a mask or numbers."""
        return Edges(*(part[chosen] for part in self))

    def ends(self, last: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the column and row of the first, or last, corner of each."""
        along = np.where((self.sign > 0) == last, self.high, self.low)
        upright = self.vertical == 1
        return np.where(upright, self.line, along), np.where(upright, along, self.line)


def no_edges() -> Edges:
    """Return an empty set of edges."""
    return Edges(*(np.zeros(0, np.int32) for _ in Edges._fields))


def concatenate_edges(*edges: Edges) -> Edges:
    """Return all edges as one object."""
    return Edges(*(np.concatenate(parts) for parts in zip(*edges, strict=True)))


def find_edges(labels: np.ndarray, wanted: np.ndarray, top: int) -> Edges:
    """Return the edges of regions in a block of rows, as if nothing lay around it.

    Args:
        labels: (h, w) number of the region + 1, 0 for none.
        wanted: (n,) bool, True for the regions to take.
        top: The block's first row in the scene.

    Example:
        >>> find_edges(np.array([[1, 1, 0]]), np.array([True]), top=7)._asdict()['line'].tolist()
        [7, 8, 0, 2]
    """
    numbers = np.arange(1, len(wanted) + 1, dtype=labels.dtype)
    chosen = labels
    if not wanted.all():
        chosen = np.concatenate([[0], np.where(wanted, numbers, 0)]).astype(labels.dtype)[labels]
    parts = []
    for vertical, values in ((0, chosen), (1, chosen.T)):
        line, place = _steps(values)
        # On a walk to the right the right-hand side is below the line; on a walk down it is to
        # the left of the line.
        for shift, sign in ((0, 1 - 2 * vertical), (1, 2 * vertical - 1)):
            inside = (line >= shift) & (line - shift < len(values))
            beside = line[inside], place[inside]
            runs = _runs_at(*beside, values[beside[0] - shift, beside[1]])
            parts.append(_sides_of(runs, vertical, sign, top))
    return concatenate_edges(*parts)


def _steps(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return line 0..h and column of the pixels' sides along rows (h, w) where values differ."""
    height, width = values.shape
    differ = np.empty((height + 1, width), bool, order='C' if values.flags.c_contiguous else 'F')
    differ[0], differ[-1] = values[0] != 0, values[-1] != 0
    np.not_equal(values[1:], values[:-1], out=differ[1:-1])
    line, place = np.divmod(np.flatnonzero(np.ascontiguousarray(differ)), width)
    return line, place


def _runs_at(row: np.ndarray, column: np.ndarray, value: np.ndarray) -> PixelRuns:
    """Return the runs of pixels, which are given in order; those of value 0 don't count."""
    row, column, value = (part[value != 0] for part in (row, column, value))
    begins = np.ones(len(row), bool)
    begins[1:] = (np.diff(row) != 0) | (np.diff(column) != 1) | (np.diff(value) != 0)
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(row))[: len(starts)] - 1
    return PixelRuns(row[starts], column[starts], column[ends] + 1, value[starts].astype(np.int64))


def _sides_of(runs: PixelRuns, vertical: int, sign: int, top: int) -> Edges:
    along, across = (top, 0) if vertical else (0, top)
    numbers = (
        runs.value - 1,
        np.full_like(runs.row, vertical),
        runs.row + across,
        runs.left + along,
        runs.right + along,
        np.full_like(runs.row, sign),
    )
    return Edges(*(part.astype(np.int32) for part in numbers))


def merge_edges(edges: Edges) -> Edges:
    """Remove the edges that two parts of a region share, and join those that continue each other.

    Args:
        edges: The edges of all parts of some regions.

    Example:
        >>> upper = find_edges(np.array([[1, 1]]), np.array([True]), top=0)
        >>> lower = find_edges(np.array([[1, 0]]), np.array([True]), top=1)
        >>> joined = merge_edges(concatenate_edges(upper, lower))
        >>> list(zip(joined.line.tolist(), joined.low.tolist(), joined.high.tolist()))
        [(0, 0, 2), (1, 1, 2), (2, 0, 1), (0, 0, 2), (1, 1, 2), (2, 0, 1)]
    """
    if not len(edges.owner):
        return edges
    # Along each line, add the direction where an edge begins, and subtract it where it ends.
    place = np.concatenate([edges.low, edges.high])
    change = np.concatenate([edges.sign, -edges.sign])
    owner, vertical, line = (np.tile(part, 2) for part in edges[:3])
    order = np.lexsort((place, line, vertical, owner))
    rows = np.stack([owner, vertical, line, place])[:, order]
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(rows) != 0).any(0)]))
    change = np.add.reduceat(change[order], starts)
    rows, change = rows[:, starts][:, change != 0], change[change != 0]
    # Each line ends with the direction 0.
    direction = np.cumsum(change)
    first = np.flatnonzero(direction)
    owner, vertical, line, low = rows[:, first]
    return Edges(owner, vertical, line, low, rows[3, first + 1], direction[first])


def polygons(edges: Edges) -> tuple[np.ndarray, np.ndarray]:
    """Join the edges of complete regions to polygons.

    Args:
        edges: All edges of the regions.

    Returns:
        Valid shapely polygons in columns and rows, and the number of the region of each, rising. A
        region whose pixels share edges is one polygon; others are several that share corners. A
        ring begins at its first corner from above.
    """
    shapely = import_geo('shapely', 'An outline')
    if not len(edges.owner):
        return np.zeros(0, object), np.zeros(0, np.int64)
    edges, after = _successors(edges)
    order, ring = _rings(after)
    edges = edges.take(order)
    (x, y), (to_x, to_y) = edges.ends(False), edges.ends(True)
    count = ring[-1] + 1
    # Twice the area, positive where the outline is an outer one.
    turn = np.bincount(ring, x.astype(np.float64) * to_y - to_x.astype(np.float64) * y)
    first = np.searchsorted(ring, np.arange(count))
    owner = edges.owner[first].astype(np.int64)
    shells = np.flatnonzero(turn > 0)
    # Rings are in the order of their owners, and so are the shells.
    own_shell = np.searchsorted(owner[shells], owner)
    several = np.bincount(owner[shells])[owner] > 1
    if several.any():
        own_shell[several] = _shells_of(edges, ring, turn, several)
    own_shell[shells] = np.arange(len(shells))
    lines = shapely.linearrings(np.stack([x, y], 1).astype(np.float64), indices=ring)
    by_shell = np.lexsort((turn <= 0, own_shell))
    made = shapely.polygons(lines[by_shell], indices=own_shell[by_shell])
    return made, owner[shells]


def _successors(edges: Edges) -> tuple[Edges, np.ndarray]:
    """Return the edges in order of owner and first corner, and the number of the one after each.

    Where four edges of a region meet, two of its pixels share a corner only. Right turns stay with
    the pixel, so that parts which only share corners get separate rings. A ring that meets itself
    there, which a polygon's ring must not, is cut in two by left turns. It meets itself on its
    outer edge alone, so that these cuts don't interfere with each other.
    """
    (x, y), (to_x, to_y) = edges.ends(False), edges.ends(True)
    # Directions: 0 right, 1 down, 2 left, 3 up.
    direction = (edges.vertical + (edges.sign < 0) * 2).astype(np.int64)
    width, height = int(x.max()) + 1, int(y.max()) + 1

    def key(column: np.ndarray, row: np.ndarray, towards: np.ndarray) -> np.ndarray:
        corner = (edges.owner.astype(np.int64) * height + row) * width + column
        return corner * 4 + towards % 4

    starts = key(x, y, direction)
    order = np.argsort(starts)
    starts = starts[order]
    options = []
    for turn in (1, 3):
        wanted = key(to_x, to_y, direction + turn)[order]
        place = np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)
        options.append((place, starts[place] == wanted))
    (right, is_right), (left, is_left) = options
    after = np.where(is_right, right, left)
    ring = _ring_numbers(after)
    after = np.where(is_right & is_left & (ring == ring[left]), left, after)
    return edges.take(order), after


def _ring_numbers(after: np.ndarray) -> np.ndarray:
    return connected(len(after), np.arange(len(after)), after)[1]


def _rings(after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order in which edges follow each other, ring by ring, and the ring of each edge.

    Rings come in the order of their smallest number, with which each begins.
    """
    size = len(after)
    numbers = np.arange(size)
    _, first, ring = np.unique(_ring_numbers(after), return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(len(first))
    ring = rank[ring]
    # Steps to the end, by jumps that double: each ring ends before its first edge.
    begins = np.zeros(size, bool)
    begins[first] = True
    ends = begins[after]
    jump = np.where(ends, numbers, after)
    steps = (~ends).astype(np.int64)
    while (steps[jump] > 0).any():
        steps += steps[jump]
        jump = jump[jump]
    order = np.lexsort((-steps, ring))
    return order, ring[order]


def _shells_of(edges: Edges, ring: np.ndarray, turn: np.ndarray, several: np.ndarray) -> np.ndarray:
    """Return the number of the outer ring around each ring of regions that have several.

    The ring to the left of a hole, across the region, is that outer ring or lies in the same one.
    """
    upright = np.flatnonzero((edges.vertical == 1) & several[ring])
    rows = (edges.high - edges.low)[upright]
    within = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)
    row = np.repeat(edges.low[upright], rows) + within
    column = np.repeat(edges.line[upright], rows)
    of_ring = np.repeat(ring[upright], rows)
    # In each row of pixels of a region, from left to right.
    order = np.lexsort((column, row, np.repeat(edges.owner[upright], rows)))
    row, column, of_ring = row[order], column[order], of_ring[order]
    leftmost = np.lexsort((column, of_ring))
    rings, place = np.unique(of_ring[leftmost], return_index=True)
    place = leftmost[place]
    parent = np.arange(len(turn))
    hole = turn[rings] < 0
    parent[rings[hole]] = of_ring[place[hole] - 1]
    while (parent[parent] != parent).any():
        parent = parent[parent]
    numbers = np.cumsum(turn > 0) - 1
    return numbers[parent[several]]
