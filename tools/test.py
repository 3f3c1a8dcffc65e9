"""Score a checkpoint on held-out pairs, and write or draw what it predicts.

    python tools/test.py CONFIG CHECKPOINT [--tta] [--out DIR] [--json FILE] [--report FILE]

Takes the options of MMSegmentation's tool of this name, and a few more. On
several GPUs or in several processes: ``tools/dist_test.sh``. An ensemble names
its checkpoints in its config, so it is tested without CHECKPOINT.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.engine.arguments import (
    add_amp_option,
    add_compile_option,
    add_launch_options,
)
from tfinet_mm.engine.launch import prepare_launch
from tfinet_mm.engine.options import set_hook, use_split, write_scores
from tfinet_mm.engine.precision import use_amp, used_precision
from tfinet_mm.engine.ranks import finish_launch
from tfinet_mm.engine.runner import build_runner, check_for_other_runners
from tfinet_mm.engine.testing import set_checkpoint, use_tta
from tfinet_mm.report import report_file
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.utils.dist import is_first_rank
from tfinet_mm.visualization.prediction_files import STORAGES


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Score a checkpoint on held-out pairs')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint file or URL; left out for an ensemble, which has those of its members',
    )
    parser.add_argument('--work-dir', help='folder for logs (default: work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--split',
        choices=('val', 'test'),
        default='test',
        help="split of the config's data to score (default: test)",
    )
    parser.add_argument(
        '--out', metavar='DIR', help="write the predicted maps there, as the data set's own labels"
    )
    parser.add_argument(
        '--storage',
        choices=STORAGES,
        help='with --out: palette PNG (the default), RGB in the colours of the classes, or grey '
        'class numbers with change as 0 and 1, which Open-CD reads',
    )
    parser.add_argument(
        '--show-dir', metavar='DIR', help='write visualisations there: pair, labels and prediction'
    )
    parser.add_argument('--json', metavar='FILE', help='write all scores and matrices there')
    parser.add_argument(
        '--report',
        metavar='FILE|DIR',
        help='write an HTML page: scores, and the pairs with labels and predictions '
        '(FILE.html, or report.html in DIR)',
    )
    parser.add_argument(
        '--max-pairs',
        type=int,
        metavar='N',
        help='with --report: largest number of pairs to show in it (default: 24)',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help="average over six flips and rotations, or those of the config's tta_model",
    )
    parser.add_argument(
        '--time-budget',
        type=float,
        metavar='SECONDS',
        help='with --tta: continue without augmentation when the test would take longer',
    )
    add_amp_option(parser)
    add_compile_option(parser)
    add_config_options(
        parser,
        'set values in the config, e.g. test_dataloader.batch_size=1 or model.test_cfg.mode=slide',
    )
    add_launch_options(parser)
    # Options may come between CONFIG and CHECKPOINT, although CHECKPOINT is optional.
    add_traceback_option(parser)
    args = parser.parse_intermixed_args(arguments)
    if args.time_budget is not None and not args.tta:
        parser.error('--time-budget limits test-time augmentation; add --tta')
    if args.storage is not None and not args.out:
        parser.error('--storage is that of the maps of a test; add --out DIR')
    if args.max_pairs is not None and not args.report:
        parser.error('--max-pairs limits the pairs that a report shows; add --report FILE')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def use_report(cfg: Config, args: argparse.Namespace) -> Path:
    """Let the test write its report, and return the file."""
    file = report_file(args.report)
    settings = dict(
        config=args.config,
        checkpoint=args.checkpoint or 'those of the members',
        split=args.split,
        tta=args.tta,
        amp=used_precision(cfg),
        time_budget=args.time_budget,
        cfg_options=args.cfg_options or {},
    )
    options = {} if args.max_pairs is None else dict(max_pairs=args.max_pairs)
    set_hook(cfg, 'tfinet_mm.ReportHook', file=str(file), settings=settings, **options)
    return file


def main(arguments: Sequence[str] | None = None) -> None:
    """Test."""
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    set_checkpoint(cfg, args.checkpoint)
    use_split(cfg, args.split)
    # Also for configs that don't inherit this package's runtime.
    set_hook(cfg, 'tfinet_mm.CheckpointCheckHook')
    if args.amp:
        use_amp(cfg, args.amp, train=False)
    if args.compile:
        set_hook(cfg, 'tfinet_mm.CompileHook', mode=args.compile)
    if args.tta:
        use_tta(cfg)
    written = {}
    if args.json:
        write_scores(cfg, args.json)
        written['Scores'] = args.json
    if args.time_budget is not None:
        set_hook(cfg, 'tfinet_mm.TimeBudgetHook', seconds=args.time_budget, out_file=args.json)
    if args.out:
        storage = {} if args.storage is None else dict(storage=args.storage)
        set_hook(cfg, 'tfinet_mm.PredictionWriterHook', out_dir=args.out, **storage)
        written['Predicted maps'] = args.out
    if args.show_dir:
        set_hook(cfg, 'tfinet_mm.PairVisualizationHook', out_dir=args.show_dir)
        written['Visualisations'] = args.show_dir
    if args.report:
        written['Report'] = str(use_report(cfg, args))
    written['Logs'] = cfg.work_dir

    prepare_launch(cfg, args.launcher)
    check_for_other_runners(cfg)
    runner = build_runner(cfg)
    runner.test()
    if is_first_rank():
        for what, where in written.items():
            print(f'{what}: {where}')
    # Not after an error: leaving waits for the other ranks, which would hide the error.
    finish_launch()


if __name__ == '__main__':
    run_command(main)
