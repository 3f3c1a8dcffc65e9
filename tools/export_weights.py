"""Write the weights of a checkpoint as a small file that predicts without a config.

    python tools/export_weights.py CHECKPOINT [--config CONFIG] OUT.safetensors

The file takes the place of a checkpoint in every tool, and of CONFIG and CHECKPOINT in
tools/predict.py. It holds no state of an optimizer, so no training is resumed from it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.apis.exporting import export_weights
from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.checkpoints.weight_files import DTYPES
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write the weights of a checkpoint as a file that predicts without a config'
    )
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument('out', type=Path, metavar='OUT.safetensors', help='the file to write')
    parser.add_argument(
        '--config', help='config of the training (default: the one in the checkpoint)'
    )
    parser.add_argument(
        '--dtype',
        choices=tuple(DTYPES),
        default='float16',
        help='type of the stored numbers (default: float16)',
    )
    parser.add_argument(
        '--license',
        metavar='SPDX',
        help='licence of the weights to state in the file, such as Apache-2.0',
    )
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read checkpoints that could run code; only for files whose origin you trust',
    )
    add_config_options(parser)
    add_traceback_option(parser)
    return parser.parse_intermixed_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Export."""
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    written = export_weights(
        args.checkpoint, args.out, args.config, args.dtype, args.license, args.cfg_options
    )
    if written.averaged:
        print('The weights are the averages of EMAHook')
    if written.dropped:
        print(f'Left out: {len(written.dropped)} tensors of auxiliary heads, which only train')
    print(f'{written.tensors} tensors, {written.size / 1e6:.1f} MB, written to {args.out}')


if __name__ == '__main__':
    run_command(main)
