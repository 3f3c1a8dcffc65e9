"""Score a checkpoint on held-out pairs, and write or draw what it predicts.

    python tools/test.py CONFIG CHECKPOINT [--tta] [--out DIR] [--json FILE] [--report FILE]
    python tools/test.py CONFIG CHECKPOINT --calibrate temperature --calibrated OUT.pth

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

from tfinet_mm.calibration import METHODS
from tfinet_mm.checkpoints.calibrated import check_calibrated_file
from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.engine.arguments import (
    add_amp_option,
    add_compile_option,
    add_launch_options,
)
from tfinet_mm.engine.calibrating import (
    DIAGRAM,
    REPORT,
    ReliabilityOptions,
    finish_reliability,
    switch_calibration_off,
    use_reliability,
)
from tfinet_mm.engine.launch import prepare_launch
from tfinet_mm.engine.options import set_hook, use_split, write_scores
from tfinet_mm.engine.precision import use_amp, used_precision
from tfinet_mm.engine.ranks import finish_launch
from tfinet_mm.engine.runner import build_runner, check_for_other_runners
from tfinet_mm.engine.testing import set_checkpoint, use_tta
from tfinet_mm.evaluation.calibration_fit import check_method
from tfinet_mm.report import report_file
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.utils.dist import is_first_rank
from tfinet_mm.utils.files import check_folder
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
        help="split of the config's data to score (default: test, and val with --calibrate)",
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
    _add_reliability(parser)
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
    _check_reliability(parser, args)
    if args.split is None:
        args.split = 'test' if args.calibrate is None else 'val'
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def _add_reliability(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('P(changed)')
    group.add_argument(
        '--reliability',
        metavar='DIR',
        type=Path,
        help=f'compare P(changed) with the share that changed: {REPORT} and {DIAGRAM} there',
    )
    group.add_argument(
        '--calibrate',
        choices=METHODS,
        help='fit a calibration of P(changed) on these pairs, which must not be training pairs',
    )
    group.add_argument(
        '--calibrated',
        metavar='FILE',
        type=Path,
        help='with --calibrate: write the checkpoint with the calibration there; for an ensemble, '
        'the calibration alone (FILE.json)',
    )
    group.add_argument(
        '--precision',
        type=float,
        metavar='P',
        help='print the lowest threshold with this precision of change (0..1), and its recall',
    )
    group.add_argument(
        '--no-calibration',
        dest='calibration',
        action='store_false',
        help='test P(changed) as the network predicts it, where the checkpoint has a calibration',
    )


def _check_reliability(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if (args.calibrate is None) != (args.calibrated is None):
        parser.error('--calibrate METHOD and --calibrated FILE go together; give both')
    if args.calibrate is not None and args.time_budget is not None:
        parser.error('--time-budget may stop augmentation, for which a calibration is fitted')
    if args.time_budget is not None and (args.reliability or args.precision is not None):
        parser.error(
            '--time-budget may stop augmentation, so P(changed) would be that of two networks in '
            'one; leave out --time-budget, or --reliability and --precision'
        )
    if args.precision is not None and not 0 < args.precision <= 1:
        parser.error(f'--precision is above 0 and up to 1, such as 0.9; got {args.precision:g}')


def check_outputs(args: argparse.Namespace) -> None:
    """Check that what a test finds can be written, before it runs.

    Raises:
        NotADirectoryError: A folder to write into is a file.
    """
    for option in ('out', 'show_dir', 'reliability'):
        if (folder := getattr(args, option)) is not None:
            check_folder(folder, f'--{option.replace("_", "-")}')
    if args.report:
        check_folder(report_file(args.report).parent, '--report')
    for option in ('json', 'calibrated'):
        if (file := getattr(args, option)) is not None:
            check_folder(Path(file).parent, f'--{option}')


def use_reliability_options(cfg: Config, args: argparse.Namespace) -> ReliabilityOptions | None:
    """Let the test count P(changed) where an option needs it, and return what to do then."""
    if args.calibrate is not None:
        check_method(args.calibrate)
        check_calibrated_file(args.calibrated, args.checkpoint)
    if args.calibrate is not None or not args.calibration:
        switch_calibration_off(cfg)
    if args.reliability is None and args.calibrate is None and args.precision is None:
        return None
    use_reliability(cfg)
    return ReliabilityOptions(
        args.reliability, args.calibrate, args.calibrated, args.precision, args.checkpoint
    )


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
    check_outputs(args)
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
    written: dict[str, str] = {}
    if args.json:
        write_scores(cfg, args.json)
        written['Scores'] = args.json
    reliability = use_reliability_options(cfg, args)
    if args.reliability is not None:
        written['Reliability of P(changed)'] = str(args.reliability)
    if args.calibrated is not None:
        written['Calibrated'] = str(args.calibrated)
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
        if reliability is not None:
            finish_reliability(runner, reliability)
        for what, where in written.items():
            print(f'{what}: {where}')
    # Not after an error: leaving waits for the other ranks, which would hide the error.
    finish_launch()


if __name__ == '__main__':
    run_command(main)
