"""Carry out a recipe: train, make pseudo labels, train again, test, and write one table.

    python tools/recipe.py RECIPE [--work-dir DIR] [--seed N] [--dry-run]
    python tools/recipe.py RECIPE --launcher pytorch --gpus 8

Every stage is an ordinary command, printed before it runs. Started again, the
recipe skips the stages that are done and goes on with the one that was cut short.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.recipe import (
    Launch,
    RecipeRunner,
    choose_stages,
    load_recipe,
    make_plan,
    write_results,
)
from tfinet_mm.recipe.plan import LAUNCHERS
from tfinet_mm.utils.command import add_traceback_option, run_command, seed


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Carry out a recipe, stage by stage')
    parser.add_argument('recipe', type=Path, help='recipe, like configs/senseearth/recipe_*.py')
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='folder for everything that is made (default: work_dirs/RECIPE_NAME)',
    )
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='pytorch starts every command through tools/dist_*.sh (default: none)',
    )
    parser.add_argument(
        '--gpus', type=int, default=1, metavar='N', help='processes of each command (default: 1)'
    )
    parser.add_argument(
        '--seed',
        type=seed,
        metavar='N',
        help='seed of every training (default: they differ)',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='print stages and commands, run nothing'
    )
    parser.add_argument(
        '--only',
        action='append',
        default=[],
        metavar='STAGE',
        help='run this stage only; "*" stands for any letters; may be given again',
    )
    parser.add_argument('--until', metavar='STAGE', help='stop after this stage')
    parser.add_argument(
        '--redo',
        action='append',
        default=[],
        metavar='STAGE',
        help='do this stage anew, and then those that read its result; may be given again',
    )
    add_traceback_option(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the recipe; returns the exit code."""
    args = parse_args(arguments)
    try:
        recipe = load_recipe(args.recipe)
        work_dir = args.work_dir or Path('work_dirs') / args.recipe.stem
        plan = make_plan(recipe, work_dir, Launch(args.launcher, args.gpus), args.seed)
        stages = choose_stages(plan, args.only, args.until)
        runner = RecipeRunner(plan, args.redo, after_stage=lambda: write_results(plan))
        if args.dry_run:
            runner.describe(stages)
            return 0
        runner.run(stages)
        print(write_results(plan))
        print(f'Table: {work_dir / "table.md"}, all scores: {work_dir / "table.json"}')
    except KeyboardInterrupt:
        print('stopped; the same command goes on from here', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    run_command(main)
