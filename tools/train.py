"""Train a model from a config.

    python tools/train.py CONFIG [--work-dir DIR] [--resume [CHECKPOINT]] [--amp [TYPE]]

Takes the options of MMSegmentation's tool of this name, and a few more. On
several GPUs or in several processes: ``tools/dist_train.sh``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from tfinet_mm.checkpoints.addresses import existing_checkpoint
from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.engine.arguments import (
    add_amp_option,
    add_compile_option,
    add_launch_options,
)
from tfinet_mm.engine.launch import join_group, prepare_launch
from tfinet_mm.engine.options import set_hook, use_pseudo_labels
from tfinet_mm.engine.precision import check_training, use_amp
from tfinet_mm.engine.ranks import finish_launch
from tfinet_mm.engine.resume import newest_checkpoint
from tfinet_mm.engine.runner import build_runner, check_for_other_runners
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command, seed
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.utils.dist import is_first_rank, on_first_rank


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a model from a config')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: work_dirs/CONFIG_NAME)'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from a checkpoint; without a path, from the newest complete one in the work '
        'directory, or from the start if it has none',
    )
    add_amp_option(parser)
    add_compile_option(parser)
    parser.add_argument('--seed', type=seed, help='seed of all random numbers')
    parser.add_argument(
        '--pseudo-labels',
        metavar='DIR',
        help='folder of pseudo labels, for a config with tfinet_mm.LoadPseudoLabels (default: '
        'that of the config)',
    )
    add_config_options(
        parser,
        'set values in the config, e.g. train_dataloader.batch_size=4 or model.test_cfg.'
        'crop_size="(256,256)"',
    )
    add_launch_options(parser)
    add_traceback_option(parser)
    args = parser.parse_args(arguments)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def resume_newest(cfg: Config, launcher: str) -> None:
    """Let a config resume from the newest checkpoint of its work directory, where there is one."""
    join_group(cfg, launcher)
    checkpoint = on_first_rank(lambda: newest_checkpoint(cfg.work_dir))
    cfg.resume = checkpoint is not None
    if checkpoint is not None:
        cfg.load_from = str(checkpoint)
    if is_first_rank():
        weights = cfg.get('load_from')
        start = f', with the weights of {weights}' if weights else ''
        print(
            f'No checkpoint in {cfg.work_dir} yet: training from the start{start}'
            if checkpoint is None
            else f'Resuming from {checkpoint}',
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train."""
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    if args.pseudo_labels is not None:
        use_pseudo_labels(cfg, args.pseudo_labels)
    if args.amp:
        use_amp(cfg, args.amp, train=True)
    check_training(cfg)
    if args.compile:
        set_hook(cfg, 'tfinet_mm.CompileHook', mode=args.compile)
    if args.seed is not None:
        cfg.merge_from_dict({'randomness.seed': args.seed})

    # A config may ask to resume too; it is left as it is without the option.
    if args.resume and args.resume != 'auto':
        cfg.resume, cfg.load_from = True, existing_checkpoint(args.resume)
    elif cfg.get('load_from') is not None:
        existing_checkpoint(cfg.load_from)

    prepare_launch(cfg, args.launcher)
    if args.resume == 'auto':
        resume_newest(cfg, args.launcher)
    check_for_other_runners(cfg)
    runner = build_runner(cfg)
    runner.train()
    if is_first_rank():
        best = runner.message_hub.runtime_info.get('best_ckpt')
        print(f'Logs and checkpoints are in {cfg.work_dir}')
        if best and Path(best).is_file():
            print(f'The best checkpoint is {best}')
    # Not after an error: leaving waits for the other ranks, which would hide the error.
    finish_launch()


if __name__ == '__main__':
    run_command(main)
