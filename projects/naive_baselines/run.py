"""Score what needs no network: Otsu's threshold and a per-pixel colour classifier.

    python projects/naive_baselines/run.py data/synthetic [--fit label]

A data set on which these do well says little about a network. Both work on single pixels: they
see neither texture nor shape nor surroundings.

Reads a data set laid out like the embedded one (ROOT/{train,val}/{im1,im2,label1,label2}, and
cover1, cover2 where there are any). Otsu's threshold is taken of each pair's colour difference.
The colour classifier is fitted to all land cover of the training pictures, or with
``--fit label`` to the changed pixels alone, and scored on the changed pixels of the validation
pictures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from tfinet_mm.utils.command import add_traceback_option, run_command


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', type=Path, help='folder of the data set')
    parser.add_argument('--fit', choices=('cover', 'label'), default='cover')
    parser.add_argument('--bins', type=int, default=32, help='bins a colour channel (default 32)')
    parser.add_argument('--json', type=Path, help='write the figures to this file too')
    add_traceback_option(parser)
    return parser.parse_args(argv)


def read(path: Path) -> np.ndarray:
    """Return a picture as RGB (H, W, 3), or a palette PNG as indices (H, W)."""
    with Image.open(path) as image:
        return np.asarray(image if image.mode in 'PL' else image.convert('RGB'))


def score(root: Path, fit: str, bins: int) -> dict[str, float]:
    """Fit and score the baselines on a data set; all figures in percent.

    Args:
        root: Folder of the data set.
        fit: Folders the classifier learns from, ``cover`` or ``label``.
        bins: Bins of its histogram along each colour channel.

    Returns:
        ``changed_share``, ``otsu_IoU``, ``otsu_precision``, ``otsu_recall``,
        ``colour_accuracy`` (right classes among the changed pixels of both dates).

    Raises:
        FileNotFoundError: A split has no pictures, or a folder is missing.
    """
    histogram = ColourHistogram(bins=bins)
    for image, name in tqdm(_pictures(root / 'train'), desc='fitting', unit='picture'):
        histogram.add(read(image), read(root / 'train' / f'{fit}{image.parent.name[-1]}' / name))
    classifier = histogram.classifier()
    confusion = np.zeros((7, 7), np.int64)
    right = total = 0
    for first, name in tqdm(_pictures(root / 'val', ('im1',)), desc='scoring', unit='pair'):
        before, after = read(first), read(root / 'val' / 'im2' / name)
        changed = otsu_change(before, after)
        for date, picture in enumerate((before, after), 1):
            label = read(root / 'val' / f'label{date}' / name)
            predicted = classifier.predict(picture)
            confusion += naive_confusion(changed, predicted, label)
            right += int((predicted == label)[label > 0].sum())
            total += int((label > 0).sum())
    said, there = int(confusion[:, 1:].sum()), int(confusion[1:].sum())
    hit, pixels = int(confusion[1:, 1:].sum()), int(confusion.sum())
    ratios = dict(
        changed_share=(there, pixels),
        otsu_IoU=(hit, said + there - hit),
        otsu_precision=(hit, said),
        otsu_recall=(hit, there),
        colour_accuracy=(right, total),
    )
    return {name: 100 * a / max(b, 1) for name, (a, b) in ratios.items()}


def _pictures(split: Path, folders: Sequence[str] = ('im1', 'im2')) -> list[tuple[Path, str]]:
    found = [(path, path.name) for f in folders for path in sorted((split / f).glob('*.png'))]
    if not found:
        raise FileNotFoundError(
            f'expected PNG pictures in {" and ".join(str(split / f) for f in folders)}, found '
            'none; tools/dataset/make_synthetic.py writes such a data set'
        )
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    figures = score(args.root, args.fit, args.bins)
    for name, value in figures.items():
        print(f'{name:16s} {value:6.2f} %')
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + '\n', encoding='utf-8')


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


if __name__ == '__main__':
    run_command(main)
