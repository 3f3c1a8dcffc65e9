"""Average the weights of two runs of one network, the second started from the first.

    python projects/pretrain/average_weights.py FIRST.pth SECOND.pth OUT.pth [--share 0.7]

Running means and variances are averaged too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.contents import weights_of
from tfinet_mm.utils.files import whole_file


def main(arguments: Sequence[str] | None = None) -> None:
    """Average, and write a checkpoint in float32."""
    parser = argparse.ArgumentParser(description='Average the weights of two runs')
    parser.add_argument('first', type=Path)
    parser.add_argument('second', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument(
        '--share', type=float, default=0.7, help='share of the second, 0 to 1 (default: 0.7)'
    )
    args = parser.parse_args(arguments)
    average(args.first, args.second, args.out, args.share)


def average(first: Path, second: Path, out: Path, share: float) -> None:
    """Write the weighted mean of two checkpoints' weights, without optimizer or schedule.

    Args:
        first: Checkpoint.
        second: Checkpoint of the same network.
        out: File to write, in float32.
        share: Share of the second, 0..1.

    Raises:
        ValueError: The checkpoints hold different weights.
    """
    one, other = read(first), read(second)
    if one.keys() != other.keys():
        differ = sorted(one.keys() ^ other.keys())
        raise ValueError(f'{first} and {second} hold other networks: {differ[:3]}')
    state = {
        name: value + share * (other[name] - value) if value.is_floating_point() else value
        for name, value in one.items()
    }
    with whole_file(out) as part:
        torch.save(dict(state_dict=state, meta={}), part)


def read(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a checkpoint in float32."""
    state = weights_of(read_checkpoint(path), str(path))
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


if __name__ == '__main__':
    main()
