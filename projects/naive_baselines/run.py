"""Score what needs no network: Otsu's threshold and a per-pixel colour classifier.

Reads a data set laid out like the embedded one (ROOT/{train,val}/{im1,im2,label1,label2}, and
cover1, cover2 where there are any). Otsu's threshold is taken of each pair's colour difference.
The colour classifier is fitted to all land cover of the training pictures, or with
`--fit label` to the changed pixels alone, and scored on the changed pixels of the validation
pictures.

Example: python tools/analysis/naive_baselines.py data/synthetic
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from tfinet_mm.evaluation.baselines import ColourHistogram, naive_confusion, otsu_change
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


if __name__ == '__main__':
    run_command(main)
