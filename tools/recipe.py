"""Carry out a recipe: train, make pseudo labels, train again, test, and write one table.

    python tools/recipe.py RECIPE [--work-dir DIR] [--seed N] [--dry-run]
    python tools/recipe.py RECIPE --launcher pytorch --gpus 8
    python tools/recipe.py RECIPE --executor slurm -- --default-resources slurm_partition=gpu

Every stage is an ordinary command, printed before it runs. A later run skips
finished stages and resumes the one that was interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.recipe.config import load_recipe
from tfinet_mm.recipe.plan import make_plan
from tfinet_mm.recipe.run import choose_stages, describe, run_recipe
from tfinet_mm.utils.command import add_traceback_option, count, run_command, seed
from tfinet_mm.utils.snakemake import add_executor_options, executor_options


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index('--') if '--' in words else len(words)
    parser = argparse.ArgumentParser(
        description='Carry out a recipe, stage by stage',
        epilog='Further options of Snakemake follow after "--".',
    )
    add = parser.add_argument
    add('recipe', type=Path, help='recipe, such as configs/senseearth/recipe_*.py')
    add(
        '--work-dir',
        type=Path,
        help='folder for all results (default: work_dirs/RECIPE_NAME)',
    )
    add(
        '--launcher',
        choices=('none', 'pytorch'),
        default='none',
        help='pytorch starts every command through tools/dist_*.sh (default: none)',
    )
    add('--gpus', type=count, default=1, metavar='N', help='processes of each command (default: 1)')
    add('--seed', type=seed, metavar='N', help='seed of every training (default: they differ)')
    add('--dry-run', action='store_true', help='print stages and commands, run nothing')
    add(
        '--only',
        action='append',
        default=[],
        metavar='STAGE',
        help='run this stage only; "*" stands for any characters; may be repeated',
    )
    add('--until', metavar='STAGE', help='stop after this stage')
    add(
        '--redo',
        action='append',
        default=[],
        metavar='STAGE',
        help='redo this stage, and then the stages that read its result; may be repeated',
    )
    add_executor_options(parser, 'stages')
    add_traceback_option(parser)
    args = parser.parse_args(words[:end])
    if args.gpus > 1 and args.launcher == 'none':
        parser.error(f'--gpus {args.gpus} takes --launcher pytorch')
    args.snakemake = words[end + 1 :]
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the recipe and return the exit code."""
    args = parse_args(arguments)
    work_dir = args.work_dir or Path('work_dirs') / args.recipe.stem
    gpus = args.gpus if args.launcher == 'pytorch' else 0
    plan = make_plan(load_recipe(args.recipe), work_dir, gpus, args.seed)
    stages = choose_stages(plan, args.only, args.until)
    if args.dry_run:
        describe(plan, stages, args.redo)
        return 0
    options = [*executor_options(args.executor, args.jobs), *args.snakemake]
    try:
        run_recipe(plan, stages, args.redo, options, args.executor)
    except KeyboardInterrupt:
        print('stopped; the same command resumes from here', file=sys.stderr)
        return 130
    print(f'Table: {work_dir / "table.md"}, all scores: {work_dir / "table.json"}')
    return 0


if __name__ == '__main__':
    run_command(main)
