"""Print parameters and floating point operations of a config's network.

    python tools/analysis/get_flops.py CONFIG [--shape H W]

Two operations are counted for each multiply-add, for one pair.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from tfinet_mm.analysis.benchmark import build_model
from tfinet_mm.analysis.complexity import count_parts
from tfinet_mm.models.members import network_bands
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command
from tfinet_mm.utils.config.loading import load_config


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Parameters and operations of a network')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        default=[512],
        help='height and width of a pair, or one number for both (default: 512)',
    )
    parser.add_argument(
        '--bands',
        type=int,
        help="bands of each date (default: in_channels of the config's backbone)",
    )
    add_config_options(parser)
    add_traceback_option(parser)
    args = parser.parse_args(arguments)
    if len(args.shape) > 2 or min(args.shape) < 1 or (args.bands is not None and args.bands < 1):
        parser.error('--shape takes one or two numbers above 0, --bands one')
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Count and print."""
    args = parse_args(arguments)
    height, width = args.shape[0], args.shape[-1]
    cfg = load_config(args.config, args.cfg_options)
    bands = network_bands(cfg) if args.bands is None else args.bands
    model = build_model(cfg)
    device = next(model.parameters()).device
    inputs = torch.zeros(1, 2 * bands, height, width, device=device)
    print(f'{args.config}, one pair of {height} x {width}, {bands} bands a date')
    print(f'{"part":24}{"parameters (M)":>16}{"GFLOP":>12}')
    for part in count_parts(model, inputs):
        name = part.name or 'all'
        print(f'{name:24}{part.parameters / 1e6:16.3f}{part.flop / 1e9:12.2f}')


if __name__ == '__main__':
    run_command(main)
