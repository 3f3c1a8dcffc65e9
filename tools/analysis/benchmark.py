"""Print a table of time, throughput, peak memory and operations for a config.

    python tools/analysis/benchmark.py CONFIG [--shape H W] [--batch-size N] [--modes ...]

Networks run on random pairs, with random weights; the mode "data" loads the
config's training pairs, if they exist.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence

import torch
from mmengine.device import get_device
from tqdm import tqdm

from tfinet_mm.analysis.benchmark import (
    Measurement,
    format_measurements,
    measure_model,
)
from tfinet_mm.analysis.data_loading import WORKER, describe_workers, measure_data
from tfinet_mm.engine.arguments import AMP_TYPES
from tfinet_mm.models.members import network_bands
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.utils.device import best_precision, resolve_precision

LAYOUTS = {'config': None, 'last': True, 'first': False}


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Time, memory and operations of a config')
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
    parser.add_argument('--batch-size', type=int, default=1, help='pairs in a step (default: 1)')
    parser.add_argument(
        '--modes',
        nargs='+',
        choices=('inference', 'train', 'data'),
        default=['inference', 'train', 'data'],
        help='measurements to make (default: all)',
    )
    parser.add_argument(
        '--dtypes',
        nargs='+',
        choices=AMP_TYPES,
        default=['float32', 'auto'],
        help='types to compute in (default: float32 auto, the fastest of this machine)',
    )
    parser.add_argument(
        '--channels',
        nargs='+',
        choices=sorted(LAYOUTS),
        default=['config'],
        help="memory layouts (default: the config's); 'last first' compares them",
    )
    parser.add_argument(
        '--compile',
        nargs='+',
        choices=('off', 'on'),
        default=['off'],
        help="networks as they are or compiled (default: off); 'off on' compares them",
    )
    parser.add_argument(
        '--repeats', type=int, default=5, help='timed steps for each row (default: 5)'
    )
    parser.add_argument('--pairs', type=int, default=64, help='pairs to load in the mode "data"')
    parser.add_argument(
        '--wanted',
        type=float,
        help='pairs a second that the network takes: say how many workers load them',
    )
    parser.add_argument('--threads', type=int, help="threads of the CPU (default: torch's)")
    add_config_options(parser)
    add_traceback_option(parser)
    args = parser.parse_args(arguments)
    if len(args.shape) > 2 or min(*args.shape, args.batch_size, args.repeats, args.pairs) < 1:
        parser.error('--shape takes one or two numbers; all numbers must be above 0')
    if args.wanted is not None and (args.wanted <= 0 or 'data' not in args.modes):
        parser.error('--wanted takes a number above 0, and needs "data" in --modes')
    return args


def resolve_dtypes(wanted: Sequence[str]) -> list[str]:
    """Return the types of numbers that the options mean on this machine, in order, each once."""
    return list(dict.fromkeys(resolve_precision(one, get_device()) for one in wanted))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    shape = (args.shape[0], args.shape[-1])
    cfg = load_config(args.config, args.cfg_options)
    bands = network_bands(cfg) if args.bands is None else args.bands
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads'
    )
    dtypes = resolve_dtypes(args.dtypes)
    runs = [
        (mode, layout, dtype, compile)
        for mode in args.modes
        if mode != 'data'
        for layout in args.channels
        for dtype in dtypes
        for compile in args.compile
    ]
    rows: list[Measurement] = []
    notes: list[str] = []
    if 'auto' in args.dtypes and len(dtypes) < len(set(args.dtypes)):
        found = best_precision(get_device())
        notes.append(f'auto is {found.dtype} here, measured once: {found.reason}')
    with tqdm(total=len(runs) + ('data' in args.modes), unit='row') as progress:
        for mode, layout, dtype, compile in runs:
            progress.set_description(f'{mode}, {dtype}, channels {layout}, compile {compile}')
            rows.append(
                measure_model(
                    cfg,
                    mode,
                    dtype,
                    LAYOUTS[layout],
                    shape,
                    args.batch_size,
                    bands,
                    args.repeats,
                    compile,
                )
            )
            progress.update()
        if 'data' in args.modes:
            progress.set_description('data')
            try:
                loading = list(measure_data(cfg, args.pairs))
                rows += loading
                if args.wanted is not None:
                    (worker,) = (row for row in loading if row.setting == WORKER)
                    notes.append(describe_workers(args.wanted, worker.milliseconds))
            except FileNotFoundError as error:
                notes.append(f'No data to load: {error}')
            progress.update()
    print(
        f'{args.config}, {shape[0]} x {shape[1]}, {args.batch_size} pair(s) a step, '
        f'torch {torch.__version__}, {device}'
    )
    print(format_measurements(rows))
    print(*notes, sep='\n')


if __name__ == '__main__':
    run_command(main)
