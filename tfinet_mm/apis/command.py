"""The command ``tfinet-predict``: two images or two folders to maps."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import DictAction
from tqdm import tqdm

from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.apis.result import SCDResult
from tfinet_mm.datasets.listing import list_folder, match_folders
from tfinet_mm.engine.checkpoint import trust_checkpoints
from tfinet_mm.engine.options import AMP_TYPES
from tfinet_mm.files import sample_file
from tfinet_mm.visualization import write_palette_png, write_png

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
# The last one is written last: where it is, the pair is finished.
FOLDERS = ('label1', 'label2', 'change_prob')


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Predict what changed between two dates')
    parser.add_argument('config', help='config file, or a checkpoint that carries its config')
    parser.add_argument(
        'checkpoint', nargs='?', help='left out for an ensemble or a checkpoint with its config'
    )
    parser.add_argument('before', help='image of the first date, or a folder of them')
    parser.add_argument('after', help='image of the second date, or a folder of the same names')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:1' (default: a GPU if any)")
    parser.add_argument(
        '--amp', nargs='?', const='bfloat16', choices=AMP_TYPES, help='compute in 16 bits'
    )
    parser.add_argument('--tta', action='store_true', help='average over flips and rotations')
    parser.add_argument('--window', type=int, help='side of sliding windows in pixels')
    parser.add_argument('--overlap', type=int, help='pixels that windows share')
    parser.add_argument('--threshold', type=float, help='P(changed) from which a pixel is changed')
    parser.add_argument('--batch-size', type=int, default=1, help='pairs of one size at a time')
    parser.add_argument('--overwrite', action='store_true', help='predict finished pairs again')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE')
    parser.add_argument(
        '--trust-checkpoint', action='store_true', help='read checkpoints that could run code'
    )
    return parser.parse_args(arguments)


def list_pairs(before: str, after: str) -> list[tuple[str, str, str]]:
    """Name, image before and image after of every pair.

    Args:
        before: A file, or a folder.
        after: The same of the second date; files in folders match by their names.

    Raises:
        FileNotFoundError: One isn't there.
        ValueError: One is a file and one a folder.
        UnmatchedPairError: A file has no partner.
    """
    folders = [Path(path).is_dir() for path in (before, after)]
    if folders[0] != folders[1]:
        raise ValueError(f'give two images or two folders, got {before} and {after}')
    if not folders[0]:
        return [(Path(before).stem, before, after)]
    files = {'before': list_folder(before, SUFFIXES), 'after': list_folder(after, SUFFIXES)}
    return [(pair['name'], pair['before'], pair['after']) for pair in match_folders(files)]


def write_result(out: Path, name: str, result: SCDResult) -> None:
    """Write the label of each date and P(changed), each file whole or not at all."""
    for folder, labels in zip(FOLDERS, (result.semantic_from, result.semantic_to), strict=False):
        write_palette_png(sample_file(out / folder, name, '.png'), labels, result.palette)
    prob = np.round(result.change_prob.clip(0, 1) * 255).astype(np.uint8)
    write_png(sample_file(out / FOLDERS[2], name, '.png'), prob)


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict all pairs that aren't finished."""
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    out = Path(args.out)
    pairs = list_pairs(args.before, args.after)
    done = [
        not args.overwrite and sample_file(out / FOLDERS[2], name, '.png').is_file()
        for name, _, _ in pairs
    ]
    todo = [pair for pair, finished in zip(pairs, done, strict=True) if not finished]
    if todo:
        inferencer = SCDInferencer(
            args.config,
            args.checkpoint,
            args.device,
            tta=args.tta,
            amp=args.amp or False,
            threshold=args.threshold,
            window=args.window,
            overlap=args.overlap,
            batch_size=args.batch_size,
            cfg_options=args.cfg_options,
        )
        results = inferencer.predict((before, after) for _, before, after in todo)
        for index, result in tqdm(results, total=len(todo), unit='pair'):
            write_result(out, todo[index][0], result)
    print(f'Predicted {len(todo)} pairs, {sum(done)} were finished: {out}')
