"""Average the weights of two runs of one network, the second begun from the first.

    python projects/pretrain/average_weights.py FIRST.pth SECOND.pth OUT.pth [--share 0.7]

Running means and variances are averaged too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from tfinet_mm.files import whole_file


def main(arguments: Sequence[str] | None = None) -> None:
    """Average, and write a checkpoint in float32."""
    parser = argparse.ArgumentParser(description='Average the weights of two runs')
    parser.add_argument('first', type=Path)
    parser.add_argument('second', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--share', type=float, default=0.7, help='that of the second (0.7)')
    args = parser.parse_args(arguments)
    first, second = (read(path) for path in (args.first, args.second))
    if first.keys() != second.keys():
        differ = sorted(first.keys() ^ second.keys())
        raise ValueError(f'{args.first} and {args.second} hold other networks: {differ[:3]}')
    average = {
        name: value + args.share * (second[name] - value) if value.is_floating_point() else value
        for name, value in first.items()
    }
    with whole_file(args.out) as part:
        torch.save(dict(state_dict=average, meta={}), part)


def read(path: Path) -> dict[str, torch.Tensor]:
    """Read what TimedScheduleHook wrote, in float32."""
    state = torch.load(path, map_location='cpu', weights_only=True)
    state = state.get('state_dict', state)
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


if __name__ == '__main__':
    main()
