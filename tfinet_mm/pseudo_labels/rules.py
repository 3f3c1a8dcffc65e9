"""Turn the predictions of several networks into labels of unchanged pixels.

There are two rules, pure functions on arrays: :func:`vote`, the rule of the
SenseEarth 2020 winner, and :func:`soft`, the mean probability above a threshold.
Both keep annotated classes. Labels are 0..K, with 0 for unlabelled, and 255 for
ignored. An ignored pixel may have changed, so it gets no pseudo label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.structures import IGNORE_INDEX

LEVELS = 60000
"""Stored shares (confidences, probabilities) are whole numbers 0..LEVELS in 16 bits.

It is not 65535, so that thresholds of up to four decimals are whole levels and a
probability of 0.9 is never below 0.9.
"""


class PseudoLabels(NamedTuple):
    """Pseudo labels of a pair.

    Attributes:
        label_from: (H, W) uint8, 0..K: the annotation where there is one, else
            the pseudo label, or 0.
        label_to: The same of the second date.
        confidence: (H, W) float32, 0..1, of the likeliest class over both
            dates, kept or not.
    """

    label_from: np.ndarray
    label_to: np.ndarray
    confidence: np.ndarray


def vote(
    predictions_from: np.ndarray,
    predictions_to: np.ndarray,
    label_from: np.ndarray,
    label_to: np.ndarray,
    num_classes: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Label unchanged pixels by vote, as the SenseEarth 2020 winner did.

    Each network votes for the annotated class where there is one. Elsewhere it
    votes for the class it predicts if that is the same on both dates, and for
    "no label" if not. The class 0..K with most votes wins, ties go to the
    lowest, so to "no label" first.

    Args:
        predictions_from: Land cover of the first date by M networks, (M, H, W),
            whole numbers 1..K.
        predictions_to: Land cover of the second date, by the same networks.
        label_from: Annotation of the first date, (H, W), 0..K, 0 = no class
            known; 255 = ignored, which stays without label.
        label_to: Annotation of the second date.
        num_classes: K, to check the maps against; by default any up to 254.

    Returns:
        The labels of the two dates, (H, W) uint8, 0..K.

    Raises:
        LabelFormatError: The maps are not whole numbers of these shapes.
        LabelValueError: A map holds a class out of range.

    Example:
        Three networks on a row of four pixels, the last one annotated:

        >>> import numpy as np
        >>> before = np.array([[[4, 1, 4, 2]], [[4, 2, 4, 2]], [[5, 3, 1, 2]]])
        >>> after = np.array([[[4, 1, 2, 2]], [[4, 2, 2, 2]], [[5, 3, 1, 2]]])
        >>> vote(before, after, np.array([[0, 0, 0, 5]]), np.array([[0, 0, 0, 6]]))
        (array([[4, 1, 0, 5]], dtype=uint8), array([[4, 1, 0, 6]], dtype=uint8))
    """
    before, after = check_predictions(predictions_from, predictions_to, num_classes)
    labels = check_labels(label_from, label_to, before.shape[1:], num_classes)
    winner, _ = count_votes(before, after)
    return fill(labels[0], winner), fill(labels[1], winner)


def soft(
    probabilities_from: np.ndarray,
    probabilities_to: np.ndarray,
    label_from: np.ndarray,
    label_to: np.ndarray,
    threshold: float | Sequence[float] = 0.9,
    change_probabilities: np.ndarray | None = None,
    max_change_prob: float | None = None,
) -> PseudoLabels:
    """Label unchanged pixels by the mean probability of the networks over both dates.

    An unchanged pixel shows the same class on both dates, so the probabilities
    are averaged over networks and dates. The likeliest class is kept where its
    mean reaches the threshold.

    Args:
        probabilities_from: Class probabilities of the first date by M networks,
            (M, K, H, W), 0..1.
        probabilities_to: Those of the second date.
        label_from: Annotation of the first date, (H, W), 0..K and 255 as in
            :func:`vote`.
        label_to: Annotation of the second date.
        threshold: Least mean probability 0..1, one for all or one a class
            (compared in steps of 1/60000).
        change_probabilities: P(changed) by the M networks, (M, H, W); needed
            for ``max_change_prob``.
        max_change_prob: Leave out pixels whose mean P(changed) is above this,
            such as borders of changes that the annotation draws too tight.

    Returns:
        The labels of both dates and the confidence.

    Raises:
        LabelFormatError: The maps differ in shape, or probabilities are not
            real numbers.
        LabelValueError: A label, a probability or a threshold is out of range.

    Example:
        One network, two classes, three pixels; the last one is annotated:

        >>> import numpy as np
        >>> before = np.array([[[[0.9, 0.3, 0.5]], [[0.1, 0.7, 0.5]]]])
        >>> after = np.array([[[[0.8, 0.5, 0.5]], [[0.2, 0.5, 0.5]]]])
        >>> made = soft(before, after, np.array([[0, 0, 2]]), np.array([[0, 0, 1]]), 0.8)
        >>> made.label_from, made.label_to
        (array([[1, 0, 2]], dtype=uint8), array([[1, 0, 1]], dtype=uint8))
        >>> made.confidence
        array([[0.85, 0.6 , 0.5 ]], dtype=float32)
    """
    before = _probabilities(probabilities_from, 4, 'probabilities_from')
    after = _probabilities(probabilities_to, 4, 'probabilities_to')
    if before.shape != after.shape:
        raise LabelFormatError(
            f'both dates need probabilities of one shape (M, K, H, W), got {before.shape} and '
            f'{after.shape}'
        )
    classes, size = before.shape[1], before.shape[2:]
    labels = check_labels(label_from, label_to, size, classes)
    cover, confidence = likeliest(before.mean(axis=0), after.mean(axis=0))
    change = None
    if max_change_prob is not None:
        if change_probabilities is None:
            raise LabelFormatError(
                'max_change_prob needs change_probabilities (M, H, W), got None; give both or '
                'neither'
            )
        change = _probabilities(change_probabilities, 3, 'change_probabilities')
        if change.shape[1:] != size:
            raise LabelFormatError(
                f'change_probabilities have to be (M, {size[0]}, {size[1]}), got {change.shape}'
            )
        change = quantised(change.mean(axis=0))
    kept = keep(
        cover, quantised(confidence), threshold_levels(threshold, classes), change, max_change_prob
    )
    return PseudoLabels(fill(labels[0], kept), fill(labels[1], kept), confidence)


def count_votes(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the votes of M networks for the class of pixels that did not change.

    Args:
        before: Land cover of the first date, (M, H, W) uint8, 1..K.
        after: Land cover of the second date.

    Returns:
        The class that wins, (H, W) uint8, 0 for "no label", and its number of
        votes, (H, W) uint16.
    """
    agreed = before == after
    votes = len(before) - agreed.sum(axis=0, dtype=np.uint16)
    winner = np.zeros(before.shape[1:], np.uint8)
    # In rising order, replaced only by more votes: ties go to the lowest class.
    for label in np.flatnonzero(np.bincount(before.ravel(), minlength=1)):
        count = (agreed & (before == label)).sum(axis=0, dtype=np.uint16)
        more = count > votes
        winner[more] = label
        votes[more] = count[more]
    return winner, votes


def likeliest(mean_from: np.ndarray, mean_to: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the likeliest class of pixels that did not change.

    Args:
        mean_from: Class probabilities of the first date, (K, H, W).
        mean_to: Class probabilities of the second date.

    Returns:
        The class 1..K, (H, W) uint8, the lowest of equal ones, and its
        probability, the mean of both dates, (H, W) float32.
    """
    mean = (mean_from + mean_to) / 2
    cover = mean.argmax(axis=0)
    confidence = np.take_along_axis(mean, cover[None], axis=0)[0]
    return (cover + 1).astype(np.uint8), confidence.astype(np.float32)


def keep(
    cover: np.ndarray,
    confidence: np.ndarray,
    thresholds: np.ndarray,
    change: np.ndarray | None = None,
    max_change_prob: float | None = None,
) -> np.ndarray:
    """Keep those classes of pixels that are sure enough.

    Args:
        cover: Classes 1..K, 0 for none, (H, W) uint8.
        confidence: Their confidence in 0..LEVELS, (H, W) uint16.
        thresholds: Least confidence of each class in 0..LEVELS, (K,).
        change: P(changed) in 0..LEVELS, (H, W) uint16.
        max_change_prob: Highest P(changed), 0..1, at which a class is kept.

    Returns:
        (H, W) uint8, 0 where no class is kept.
    """
    least = np.concatenate([[0], thresholds]).astype(np.int64)
    sure = confidence >= least[cover]
    if change is not None and max_change_prob is not None:
        sure &= change <= level(max_change_prob)
    return np.where(sure, cover, 0).astype(np.uint8)


def fill(label: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Put classes where an annotation (0..K, 255) is 0; ignored pixels become 0."""
    filled = np.where(label == 0, cover, label)
    return np.where(label == IGNORE_INDEX, 0, filled).astype(np.uint8)


def level(share: float) -> int:
    """Return a share 0..1 in whole steps of 1/LEVELS, rounded as :func:`quantised` rounds."""
    return int(quantised(np.float64(share)))


def quantised(shares: np.ndarray | np.floating) -> np.ndarray:
    """Return shares 0..1 as uint16 in 0..LEVELS, rounded."""
    scaled = np.rint(np.clip(shares, 0, 1).astype(np.float64) * LEVELS)
    return scaled.astype(np.uint16)


def threshold_levels(threshold: float | Sequence[float], num_classes: int) -> np.ndarray:
    """Return thresholds 0..1, one for all or one a class, as (K,) int64 in 0..LEVELS.

    Raises:
        LabelValueError: One is out of range, or there are more or fewer than classes.
    """
    values = np.atleast_1d(np.asarray(threshold, np.float64))
    if values.ndim != 1 or len(values) not in (1, num_classes):
        raise LabelValueError(
            f'expected one threshold, or one for each of {num_classes} classes, got {threshold}'
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise LabelValueError(f'a threshold is a probability, 0 to 1, got {threshold}')
    return np.broadcast_to(quantised(values), (num_classes,)).astype(np.int64)


def check_predictions(
    predictions_from: np.ndarray, predictions_to: np.ndarray, num_classes: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Check land-cover maps (M, H, W) of 1..K, as uint8; see :func:`vote` for the errors."""
    before, after = np.asarray(predictions_from), np.asarray(predictions_to)
    if before.shape != after.shape or before.ndim != 3 or not before.shape[0]:
        raise LabelFormatError(
            'predictions of the two dates have to be of one shape (M, H, W) for M >= 1 networks, '
            f'got {before.shape} and {after.shape}'
        )
    highest = IGNORE_INDEX - 1 if num_classes is None else num_classes
    for name, values in (('predictions_from', before), ('predictions_to', after)):
        _check_whole(values, name)
        if values.size and not 1 <= values.min() <= values.max() <= highest:
            raise LabelValueError(
                f'{name} hold values from {values.min()} to {values.max()}, expected land cover '
                f'1 to {highest} everywhere; take pred_land_cover_from and _to, not semantic '
                'change with 0 for unchanged'
            )
    return before.astype(np.uint8), after.astype(np.uint8)


def check_labels(
    label_from: np.ndarray,
    label_to: np.ndarray,
    size: tuple[int, ...],
    num_classes: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Check annotations (H, W) of 0..K and 255; see :func:`vote` for the errors."""
    labels = np.asarray(label_from), np.asarray(label_to)
    highest = IGNORE_INDEX - 1 if num_classes is None else num_classes
    for name, values in zip(('label_from', 'label_to'), labels, strict=True):
        if values.shape != tuple(size):
            raise LabelFormatError(
                f'{name} is {values.shape} (H, W), the predictions are {tuple(size)}; they have '
                'to be of one size'
            )
        _check_whole(values, name)
        known = values[values != IGNORE_INDEX]
        if known.size and not 0 <= known.min() <= known.max() <= highest:
            raise LabelValueError(
                f'{name} holds values from {known.min()} to {known.max()}, expected 0 (no class '
                f'known), classes 1 to {highest}, and 255 for ignored pixels'
            )
    return labels


def _check_whole(values: np.ndarray, name: str) -> None:
    if values.dtype.kind not in 'iu':
        raise LabelFormatError(f'{name} has to hold whole numbers, got {values.dtype}')


def _probabilities(values: np.ndarray, dimensions: int, name: str) -> np.ndarray:
    values = np.asarray(values)
    shape = '(M, K, H, W)' if dimensions == 4 else '(M, H, W)'
    if values.ndim != dimensions or not values.shape[0] or values.dtype.kind != 'f':
        raise LabelFormatError(
            f'{name} have to be real numbers of shape {shape}, got {values.dtype} {values.shape}'
        )
    # Sums of rounded numbers may be a little above 1; NaN fails both comparisons.
    if values.size and not (values.min() >= -1e-3 and values.max() <= 1.001):
        raise LabelValueError(
            f'{name} have to be in 0..1, got {values.min()} to {values.max()}; apply softmax or '
            'sigmoid to logits'
        )
    return values
