"""Score weights on a few pairs of SECOND and LEVIR-CD, neither of them trained on.

    python projects/pretrain/score_real.py CHECKPOINT --second DIR --levir DIR

The pairs of SECOND (im1, im2, label1, label2 below DIR) are split by name: the first half is
for choosing between runs, the second half for reporting. The pairs of LEVIR-CD (A, B, label) are
for reporting.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.datasets.annotations import combine_semantic_change
from tfinet_mm.evaluation.confusion import SCDConfusion, confusion_matrix
from tfinet_mm.evaluation.functional import binary_scores, class_scores, scd_scores
from tfinet_mm.io.change_masks import read_change_mask
from tfinet_mm.io.images import read_image
from tfinet_mm.io.labels import read_semantic_label
from tfinet_mm.structures import SECOND

BUILDING = 5
"""Index of SECOND's buildings, 0 being "unchanged"."""


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Score weights on real pairs')
    parser.add_argument('checkpoint', nargs='+', help='one or more checkpoints or names of weights')
    parser.add_argument('--config', help='config, for checkpoints without one')
    parser.add_argument('--second', help='folder with im1, im2, label1 and label2')
    parser.add_argument('--levir', help='folder with A, B and label')
    parser.add_argument('--scales', type=float, nargs='+', default=[1.0], help='sizes of SECOND')
    parser.add_argument(
        '--tta',
        action=argparse.BooleanOptionalAction,
        help='average over all views, or over none (default: the views stored with the weights)',
    )
    parser.add_argument(
        '--views',
        type=float,
        nargs='+',
        metavar='SCALE',
        help='scales to average over, in place of --tta',
    )
    parser.add_argument('--json', help='file to write the scores to')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Score each checkpoint and print the scores."""
    args = parse_args(arguments)
    results: dict[str, Any] = {}
    for checkpoint in args.checkpoint:
        source = (args.config, checkpoint) if args.config else (checkpoint,)
        views = dict(transforms=['identity'], scales=args.views) if args.views else args.tta
        inferencer = SCDInferencer(*source, tta=views)
        scores = results[checkpoint] = {}
        for scale in args.scales if args.second else ():
            suffix = '' if scale == 1 else f' x{scale:g}'
            names = sorted(path.stem for path in Path(args.second, 'im1').iterdir())
            half = len(names) // 2
            for part, chosen in (
                ('choose', names[:half]),
                ('report', names[half:]),
                ('all', names),
            ):
                scores[f'SECOND {part}{suffix}'] = second(
                    inferencer, Path(args.second), chosen, scale
                )
        if args.levir:
            for scale in (1.0, 0.5):
                scores[f'LEVIR x{scale:g}'] = levir(inferencer, Path(args.levir), scale)
        print(checkpoint)
        for name, values in scores.items():
            numbers = '  '.join(
                f'{key} {value:.1f}' for key, value in values.items() if not isinstance(value, dict)
            )
            print(f'  {name:20} {numbers}')
        if args.second:
            print('  F1 of classes', scores['SECOND all']['classes'])
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2) + '\n')


def second(
    inferencer: SCDInferencer, folder: Path, names: Sequence[str], scale: float
) -> dict[str, Any]:
    """Score pairs of SECOND; the classes' F1 is over both dates."""
    total = SCDConfusion.zeros(len(SECOND.names) - 1)
    for name in names:
        before, after = (read_image(folder / part / f'{name}.png') for part in ('im1', 'im2'))
        labels = [
            read_semantic_label(folder / part / f'{name}.png', SECOND).values
            for part in ('label1', 'label2')
        ]
        truth = combine_semantic_change(*labels)
        result = inferencer(*(_resized(image, scale) for image in (before, after)))
        size = before.shape[1], before.shape[0]
        cover_from, cover_to = (
            cv2.resize(cover, size, interpolation=cv2.INTER_NEAREST)
            for cover in (result.land_cover_from, result.land_cover_to)
        )
        change = cv2.resize(result.change_prob, size) >= 0.5
        total += SCDConfusion.from_maps(
            truth.change,
            truth.cover_from,
            truth.cover_to,
            change.astype(np.uint8),
            cover_from,
            cover_to,
            6,
        )
    semantic, binary = scd_scores(total.scd), binary_scores(total.change)
    classes = class_scores(total.scd)['F1']
    return dict(
        change_F1=binary['F1'],
        change_IoU=binary['IoU'],
        Fscd=semantic['Fscd'],
        SeK=semantic['SeK'],
        Score=semantic['Score'],
        classes={n: round(float(v), 1) for n, v in zip(SECOND.names, classes, strict=True)},
    )


def levir(inferencer: SCDInferencer, folder: Path, scale: float) -> dict[str, Any]:
    """Score the change of buildings: changed, and a building before or after."""
    counts = np.zeros((2, 2), np.int64)
    for path in sorted((folder / 'A').iterdir()):
        before, after = read_image(path), read_image(folder / 'B' / path.name)
        truth = read_change_mask(folder / 'label' / path.name).values
        result = inferencer(*(_resized(image, scale) for image in (before, after)))
        building = (result.land_cover_from == BUILDING) | (result.land_cover_to == BUILDING)
        found = (result.change & building).astype(np.uint8)
        found = cv2.resize(found, truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
        counts += confusion_matrix(truth, found, 2)
    scores = binary_scores(counts)
    return {f'building_{key}': scores[key] for key in ('F1', 'precision', 'recall')}


def _resized(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return image
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=how))


if __name__ == '__main__':
    main()
