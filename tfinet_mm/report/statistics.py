"""Count maps, score single pairs, and choose the pairs that a report shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfinet_mm.evaluation import SCDConfusion
from tfinet_mm.report.records import NODATA, PairSummary

BINS = 20

WORST, BEST, CHANGED = 'worst', 'best', 'most changed'


def count_transitions(
    labels_from: np.ndarray, labels_to: np.ndarray, num_classes: int
) -> tuple[np.ndarray, int, int]:
    """Count changed pixels by class before and after.

    Args:
        labels_from: Class before (H, W), 1..K where it changed, 0 unchanged, 255 no data.
        labels_to: Class after, of the same shape, 0 at the same pixels.
        num_classes: Number K of classes.

    Returns:
        Counts (K, K) of int64, rows before; the number of unchanged pixels; the
        number without data.

    Example:
        >>> count_transitions(np.array([[0, 1, 2, 255]]), np.array([[0, 2, 2, 255]]), 2)
        (array([[0, 1],
               [0, 1]]), 1, 1)
    """
    nodata = (labels_from == NODATA) | (labels_to == NODATA)
    changed = ~nodata & (labels_from > 0) & (labels_to > 0)
    codes = (labels_from[changed].astype(np.int64) - 1) * num_classes + labels_to[changed] - 1
    counts = np.bincount(codes, minlength=num_classes**2).reshape(num_classes, num_classes)
    missing = int(nodata.sum())
    return counts.astype(np.int64), int(nodata.size - missing - changed.sum()), missing


def count_probabilities(probability: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Count P(changed) in bins over 0..1; values that aren't finite are left out.

    Example:
        >>> count_probabilities(np.array([0.0, 0.24, 0.25, 1.0, np.nan]), 4)
        array([2, 1, 0, 1])
    """
    finite = probability[np.isfinite(probability)]
    return np.histogram(finite, bins, (0, 1))[0].astype(np.int64)


def pair_scores(counts: SCDConfusion) -> dict[str, float]:
    """Return scores of one pair that tell good from bad ones, even where little changed.

    Scores over a data set are undefined for many single pairs, which have no change
    or few of the classes, so these are counted here, in percent:

    * ``IoU_unchanged``: pixels unchanged in annotation and prediction, of those
      unchanged in either;
    * ``IoU_from_to``: changed pixels whose classes before and after are both right,
      of the pixels changed in either (without annotated land cover: changed pixels
      that are found, and it is called ``IoU_change``);
    * ``score``: the mean of the two, without one that has no pixel at all;
    * ``wrong``: share of the annotated pixels that are missed, false or of a wrong
      class;
    * ``annotated``: share of them that is annotated as changed.

    Args:
        counts: Counts of the pair.

    Returns:
        The numbers above; an IoU without a pixel is left out.

    Example:
        >>> maps = np.array([[1, 1, 0, 0]]), np.array([[0, 1, 5, 5]]), np.array([[1, 0, 5, 5]])
        >>> found = np.array([[1, 1, 1, 0]]), np.array([[1, 2, 1, 0]]), np.array([[2, 2, 1, 0]])
        >>> counts = SCDConfusion.from_maps(*maps, *found, num_classes=9)
        >>> {name: round(value) for name, value in pair_scores(counts).items()}
        {'IoU_unchanged': 50, 'IoU_from_to': 33, 'score': 42, 'wrong': 50, 'annotated': 50}
    """
    matrix = counts.from_to if counts.has_land_cover else counts.change
    of_changed = 'IoU_from_to' if counts.has_land_cover else 'IoU_change'
    total = int(matrix.sum())
    unchanged = int(matrix[0, 0])
    right = int(np.trace(matrix)) - unchanged
    parts = {
        'IoU_unchanged': (unchanged, int(matrix[0].sum() + matrix[:, 0].sum()) - unchanged),
        of_changed: (right, total - unchanged),
    }
    scores = {name: 100 * part / whole for name, (part, whole) in parts.items() if whole}
    return {
        **scores,
        'score': sum(scores.values()) / len(scores) if scores else 0.0,
        'wrong': 100 * (total - unchanged - right) / max(total, 1),
        'annotated': 100 * int(matrix[1:].sum()) / max(total, 1),
    }


def choose_pairs(summaries: Sequence[PairSummary], most: int) -> dict[int, str]:
    """Choose the pairs to show where there are too many.

    Of scored pairs a third each are the worst by their score, the best of those
    with annotated change, and the most changed of the others by share; without
    scores all are the most changed. All pairs are chosen where they are few enough.

    Args:
        summaries: All pairs.
        most: Greatest number of pairs to choose.

    Returns:
        Place in ``summaries`` and reason (``'worst'``, ``'best'``, ``'most changed'``)
        of each, in the order to show them.
    """
    chosen: dict[int, str] = {}

    def take(order: Sequence[int], count: int, reason: str) -> None:
        for place in [place for place in order if place not in chosen][: max(count, 0)]:
            chosen[place] = reason

    most = min(most, len(summaries))
    worst, best, by_change = pair_orders(summaries)
    if worst:
        share = -(-most // 3)
        take(worst, share, WORST)
        take(best, min(share, most - len(chosen)), BEST)
    take(by_change, most - len(chosen), CHANGED)
    return chosen


def pair_orders(summaries: Sequence[PairSummary]) -> tuple[list[int], list[int], list[int]]:
    """Return the orders that :func:`choose_pairs` chooses from.

    Returns:
        Places of the scored pairs, worst first; of those with annotated change, best
        first; of all, the most changed first. Equal ones keep their order.
    """
    scored = {i: one.scores for i, one in enumerate(summaries) if one.scores is not None}
    worst = sorted(scored, key=lambda i: (scored[i]['score'], i))
    best = sorted(
        (i for i in scored if scored[i]['annotated'] > 0), key=lambda i: (-scored[i]['score'], i)
    )
    by_change = sorted(range(len(summaries)), key=lambda i: (-summaries[i].changed_share, i))
    return worst, best, by_change
