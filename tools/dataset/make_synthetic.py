"""Write a synthetic data set: pairs of aerial-looking images with change labels.

Example: python tools/dataset/make_synthetic.py data/synthetic --train 200 --val 40 --size 128
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset
from tfinet_mm.utils.command import add_traceback_option, run_command, seed


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    defaults = SyntheticConfig()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='folder to write to; pairs that it holds are kept')
    parser.add_argument('--train', type=int, default=200, help='training pairs (default 200)')
    parser.add_argument('--val', type=int, default=40, help='validation pairs (default 40)')
    parser.add_argument(
        '--size',
        type=int,
        nargs='+',
        default=[128],
        help='pixels: one number, or height and width (default 128)',
    )
    parser.add_argument('--seed', type=seed, default=defaults.seed, help='seed (default 0)')
    parser.add_argument(
        '--change-share',
        type=float,
        default=defaults.change_share,
        help=f'mean share of changed pixels to aim at, 0..0.35 (default {defaults.change_share})',
    )
    parser.add_argument(
        '--unchanged-pairs',
        type=float,
        default=defaults.unchanged_pairs,
        help=f'share of pairs without any change, 0..1 (default {defaults.unchanged_pairs})',
    )
    parser.add_argument(
        '--nuisance',
        type=float,
        default=defaults.nuisance,
        help='strength of light, season, haze, blur and noise (default 1)',
    )
    parser.add_argument(
        '--misregistration',
        type=float,
        default=defaults.misregistration,
        help=f'largest shift in pixels (default {defaults.misregistration})',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        help='processes (default: one for each core)',
    )
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    start = time.perf_counter()
    config = SyntheticConfig(
        size=args.size[0] if len(args.size) == 1 else tuple(args.size),
        seed=args.seed,
        change_share=args.change_share,
        unchanged_pairs=args.unchanged_pairs,
        nuisance=args.nuisance,
        misregistration=args.misregistration,
    )
    written = write_dataset(args.root, args.train, args.val, config, args.workers)
    seconds = time.perf_counter() - start
    kept = args.train + args.val - written
    print(f'{args.root}: {written} pairs written in {seconds:.1f} s, {kept} were there')


if __name__ == '__main__':
    run_command(main)
