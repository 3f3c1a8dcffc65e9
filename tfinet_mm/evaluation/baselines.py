"""Find change without a network: Otsu's threshold and a per-pixel colour classifier.

A data set on which these do well says little about a network. Both work on
single pixels: they see neither texture nor shape nor surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def colour_difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Euclidean distance of two pictures in RGB.

    Args:
        before: First date (H, W, 3), 0..255.
        after: Second date, of the same shape.

    Returns:
        Distance (H, W) float32, 0..441.7.
    """
    difference = np.asarray(before, np.float32) - np.asarray(after, np.float32)
    return np.sqrt((difference**2).sum(-1))


def otsu_threshold(values: np.ndarray, bins: int = 256) -> float:
    """Return the threshold that separates values into two groups best (Otsu, 1979).

    It maximises the variance between the groups, ``w0 * w1 * (m0 - m1) ** 2``, over the
    borders of a histogram.

    Args:
        values: Numbers of any shape.
        bins: Number of bins of the histogram between the smallest and the largest value.

    Returns:
        The threshold: values above it are the upper group. The value itself where all
        values are equal.

    Raises:
        ValueError: There are no values.

    Example:
        >>> round(otsu_threshold(np.array([1, 1, 2, 2, 9, 9, 10]), bins=9), 3)
        3.0
    """
    values = np.asarray(values, np.float64).ravel()
    if values.size == 0:
        raise ValueError("expected at least one value to find Otsu's threshold of, got none")
    low, high = values.min(), values.max()
    if low == high:
        return float(low)
    counts, edges = np.histogram(values, bins, (low, high))
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = values.size - below
    sums = np.cumsum(counts * middles)
    mean_below = sums[:-1] / below
    mean_above = (sums[-1] - sums[:-1]) / above
    return float(edges[1:-1][np.argmax(below * above * (mean_below - mean_above) ** 2)])


def otsu_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Find changed pixels of one pair: colour difference above Otsu's threshold.

    Args:
        before: First date (H, W, 3), 0..255.
        after: Second date, of the same shape.

    Returns:
        bool (H, W).
    """
    difference = colour_difference(before, after)
    return difference > otsu_threshold(difference)


@dataclass(frozen=True)
class ColourClassifier:
    """The most probable class of a colour, counted in a coarse RGB histogram.

    Attributes:
        table: Class 1..K of each bin (bins, bins, bins), uint8.
    """

    table: np.ndarray

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Classify every pixel by its colour.

        Args:
            image: RGB uint8 (..., 3).

        Returns:
            Class 1..K of each pixel, uint8 (...).
        """
        red, green, blue = np.moveaxis(_bin(image, len(self.table)), -1, 0)
        return self.table[red, green, blue]


class ColourHistogram:
    """Counts of colours by class, gathered picture by picture.

    Args:
        num_classes: Number K of classes.
        bins: Bins along each of red, green and blue, 1..256.

    Example:
        >>> histogram = ColourHistogram(num_classes=2, bins=4)
        >>> histogram.add(np.array([[[250, 0, 0], [0, 0, 250]]], np.uint8), np.array([[1, 2]]))
        >>> histogram.classifier().predict(np.array([[200, 5, 5]], np.uint8))
        array([1], dtype=uint8)
    """

    def __init__(self, num_classes: int = 6, bins: int = 32) -> None:
        """Start with empty counts."""
        if not 1 <= bins <= 256:
            raise ValueError(f'expected 1..256 bins a colour channel, got {bins}')
        self.counts: np.ndarray = np.zeros((num_classes, bins, bins, bins))

    def add(self, image: np.ndarray, classes: np.ndarray) -> None:
        """Count the pixels of a picture.

        Args:
            image: RGB uint8 (H, W, 3).
            classes: Class of each pixel (H, W), 1..K; others are left out.
        """
        known = (classes >= 1) & (classes <= len(self.counts))
        red, green, blue = _bin(image[known], self.counts.shape[1]).T
        np.add.at(self.counts, (classes[known].astype(np.intp) - 1, red, green, blue), 1)

    def classifier(self) -> ColourClassifier:
        """Return the class with the most counts in and around each bin.

        Counts are averaged with those of neighbouring bins (1, 2, 1 along each channel),
        and colours far from any seen one get the most frequent class.
        """
        smooth = self.counts
        for axis in (1, 2, 3):
            padded = np.pad(smooth, [(int(a == axis), int(a == axis)) for a in range(4)])
            end = smooth.shape[axis]
            parts = [padded.take(range(i, i + end), axis) for i in (0, 1, 2)]
            smooth = (parts[0] + 2 * parts[1] + parts[2]) / 4
        totals = smooth.sum((1, 2, 3))
        # A trace of the totals decides where nothing was counted.
        score = smooth + 1e-9 * totals[:, None, None, None]
        return ColourClassifier((score.argmax(0) + 1).astype(np.uint8))


def _bin(image: np.ndarray, bins: int) -> np.ndarray:
    return image.astype(np.intp) * bins // 256


def naive_confusion(
    changed: np.ndarray, predicted: np.ndarray, label: np.ndarray, num_classes: int = 6
) -> np.ndarray:
    """Confusion of one date in the semantic change convention.

    Args:
        changed: Predicted change, bool (H, W).
        predicted: Predicted class of each pixel, 1..K (H, W).
        label: Annotated class on changed pixels, else 0 (H, W).
        num_classes: Number K of classes.

    Returns:
        Integer matrix (K + 1, K + 1): rows annotation, columns prediction, 0 = unchanged.

    Example:
        >>> naive_confusion(np.array([True, False]), np.array([1, 2]), np.array([2, 0]), 2)
        array([[1, 0, 0],
               [0, 0, 0],
               [0, 1, 0]])
    """
    side = num_classes + 1
    masked = np.where(changed, predicted, 0).astype(np.int64)
    flat = label.astype(np.int64) * side + masked
    return np.bincount(flat.ravel(), minlength=side * side).reshape(side, side)
