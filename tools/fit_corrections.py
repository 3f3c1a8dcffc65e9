"""Fit the land cover of a network to polygons that were corrected in QGIS, in seconds.

Example: python tools/fit_corrections.py data/corrections --out corrected.safetensors

tools/dataset/make_labels.py makes the data set.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.apis.correcting import fit_corrections
from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.utils.command import add_traceback_option, run_command


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('data', metavar='DATA', help='data set of make_labels.py')
    parser.add_argument(
        '--out',
        required=True,
        type=Path,
        metavar='OUT.safetensors',
        help='file of weights to write',
    )
    parser.add_argument(
        '--checkpoint', help='weights that predicted the scene (default: those of the package)'
    )
    parser.add_argument('--config', help='their config (default: the one in the checkpoint)')
    parser.add_argument(
        '--weight',
        type=float,
        default=1.0,
        help='factor on the weight of the corrections (default: 1)',
    )
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:1' (default: a GPU if any)")
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read checkpoints that could run code; only for files whose origin you trust',
    )
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    if args.trust_checkpoint:
        trust_checkpoints()
    made = fit_corrections(
        args.data, args.out, args.config, args.checkpoint, weight=args.weight, device=args.device
    )
    print(
        f'{args.out}: loss of the corrections {made.before:.2f} before, {made.after:.2f} after, '
        f'in {made.windows} windows'
    )


if __name__ == '__main__':
    run_command(main)
