"""Label the unchanged pixels of a data set with trained networks.

    python tools/pseudo_label.py CONFIG CHECKPOINT [CONFIG CHECKPOINT ...] --out DIR [options]
    python tools/pseudo_label.py ENSEMBLE_CONFIG --out DIR [options]

Writes label1 and label2 as palette PNG, which tfinet_mm.LoadPseudoLabels trains on, and a report.
A run that was stopped is resumed. In several processes: tools/dist_pseudo_label.sh.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.engine.arguments import add_amp_option, add_launch_options
from tfinet_mm.engine.ranks import finish_launch, join_cpu_group, rank_device
from tfinet_mm.pseudo_labels.generate import generate
from tfinet_mm.pseudo_labels.predictions import METHODS
from tfinet_mm.pseudo_labels.report import format_report
from tfinet_mm.pseudo_labels.selection import PerClass, Selection
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command
from tfinet_mm.utils.dist import is_first_rank


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'sources',
        nargs='+',
        metavar='CONFIG CHECKPOINT',
        help='the members, or the config of one ensemble; the pairs are those of the first config',
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    parser.add_argument(
        '--method',
        choices=METHODS,
        default='vote',
        help='the published vote, or the mean probability (default: vote)',
    )
    parser.add_argument('--tta', action='store_true', help='average over six flips and rotations')
    parser.add_argument(
        '--split',
        choices=('train', 'val', 'test'),
        default='train',
        help="split of the first config's data to label (default: train)",
    )
    soft = parser.add_argument_group('labels that --method soft keeps')
    soft.add_argument('--threshold', type=float, help='least confidence (default: 0.9)')
    soft.add_argument(
        '--class-thresholds',
        nargs='+',
        metavar='P',
        help='least confidence by class: one number each, or NAME=NUMBER for some',
    )
    soft.add_argument(
        '--quota',
        nargs='+',
        metavar='SHARE',
        help='least share of the pixels assigned to a class that is kept: one for all, one '
        'each, or NAME=NUMBER for some',
    )
    soft.add_argument(
        '--max-change-prob',
        type=float,
        metavar='P',
        help='leave out pixels whose P(changed) is above P, 0..1',
    )
    parser.add_argument(
        '--confidence', action='store_true', help='also write the confidence as 8-bit PNG'
    )
    parser.add_argument(
        '--land-cover',
        nargs=2,
        metavar=('DIR_FROM', 'DIR_TO'),
        help='true land cover of each date, to measure accuracy (default: that of '
        'synthetic data sets, none for others)',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace results of other members or options in DIR',
    )
    parser.add_argument(
        '--device', help='device that networks run on, e.g. cpu (default: a GPU if there is one)'
    )
    add_amp_option(parser)
    parser.add_argument('--batch-size', type=int, default=1, help='pairs in a batch (default: 1)')
    parser.add_argument(
        '--workers', type=int, default=2, help='processes that load pairs (default: 2)'
    )
    add_config_options(
        parser, 'set values in every config, e.g. train_dataloader.dataset.data_root=data/mine'
    )
    add_launch_options(parser)
    add_traceback_option(parser)
    args = parser.parse_args(arguments)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def numbers(words: Sequence[str] | None, option: str) -> PerClass | None:
    """Return one number for all classes, a list, or a dictionary of NAME=NUMBER.

    Raises:
        ValueError: A word is neither, or both kinds are mixed.
    """
    if words is None:
        return None
    try:
        named = [word.rpartition('=') for word in words]
        if all(sign for _, sign, _ in named):
            return {name: float(value) for name, _, value in named}
        values = [float(word) for word in words]
    except ValueError:
        raise ValueError(
            f'{option} takes numbers, or NAME=NUMBER for some classes; got {" ".join(words)}'
        ) from None
    return values[0] if len(values) == 1 else values


def selection(args: argparse.Namespace) -> Selection | None:
    """Return the selection of 'soft'; None without options."""
    by_class = numbers(args.class_thresholds, '--class-thresholds')
    said = dict(
        threshold=args.threshold,
        class_thresholds=[by_class] if isinstance(by_class, float) else by_class,
        quota=numbers(args.quota, '--quota'),
        max_change_prob=args.max_change_prob,
    )
    said = {name: value for name, value in said.items() if value is not None}
    return Selection(**said) if said else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Make pseudo labels, and print the report."""
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    chosen = selection(args)
    # gloo on GPUs too: a rank that is finished may wait for hours, and NCCL stops after minutes.
    join_cpu_group(args.launcher)
    report = generate(
        args.sources,
        args.out,
        method=args.method,
        selection=chosen,
        split=args.split,
        tta=args.tta,
        confidence=args.confidence,
        land_cover=args.land_cover,
        overwrite=args.overwrite,
        amp=args.amp,
        cfg_options=args.cfg_options,
        device=rank_device(args.launcher, args.device),
        batch_size=args.batch_size,
        workers=args.workers,
    )
    if is_first_rank():
        print(f'{format_report(report)}\n\nPseudo labels: {args.out}')
    # Not after an error: leaving waits for the other ranks, which would hide the error.
    finish_launch()


if __name__ == '__main__':
    run_command(main)
