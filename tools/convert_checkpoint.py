"""Convert a published checkpoint to this package's names and polarity.

    python tools/convert_checkpoint.py SRC DST --network tfinet

The result loads strictly into the config that belongs to the network:
``configs/published/tfinet_r18.py`` for ``tfinet``, one of ``configs/senseearth``
for ``senseearth``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

import tfinet_mm
from tfinet_mm.checkpoints.contents import check_finite
from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.errors import CheckpointMismatchError
from tfinet_mm.models.published import CONVERTERS, plain_state_dict
from tfinet_mm.utils.command import add_traceback_option, run_command
from tfinet_mm.utils.files import whole_file


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Convert a published checkpoint')
    parser.add_argument('src', type=Path, help='the published checkpoint')
    parser.add_argument('dst', type=Path, help='the checkpoint to write')
    parser.add_argument(
        '--network', required=True, choices=sorted(CONVERTERS), help='network of the checkpoint'
    )
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read checkpoints that could run code; only for files whose origin you trust',
    )
    add_traceback_option(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert."""
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    checkpoint = load_checkpoint_file(args.src, map_location='cpu')
    try:
        published = plain_state_dict(checkpoint)
        check_finite(published, str(args.src))
        converted = CONVERTERS[args.network](published)
    except ValueError as error:
        raise CheckpointMismatchError(f'{args.src}: {error}') from None
    meta = {'converted_from': args.src.name, 'tfinet_mm_version': tfinet_mm.__version__}
    with whole_file(args.dst) as partial:
        torch.save({'meta': meta, 'state_dict': converted}, partial)
    print(f'{len(converted)} tensors of {len(published)} written to {args.dst}')


if __name__ == '__main__':
    run_command(main)
