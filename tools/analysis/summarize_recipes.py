"""Sum up runs of one recipe with several seeds: mean, standard deviation, differences.

    python tools/analysis/summarize_recipes.py WORK_DIR [WORK_DIR ...] [--baseline NAME]

The work directories are those of tools/recipe.py, each started with another --seed. Runs that are
still going on are summed up as far as they have come.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.recipe.summary import SUMMARY_SCORES, read_runs, summarize
from tfinet_mm.utils.command import add_traceback_option, run_command


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dirs', type=Path, nargs='+', help='folders of tools/recipe.py')
    parser.add_argument(
        '--baseline',
        action='append',
        default=[],
        metavar='NAME',
        help='network, ensemble or stage that all rows are compared with; may be given again',
    )
    parser.add_argument(
        '--score', choices=SUMMARY_SCORES, default='SeK', help='what is compared (default: SeK)'
    )
    add_traceback_option(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    args = parse_args(arguments)
    print(summarize(read_runs(args.work_dirs), args.baseline, args.score), end='')


if __name__ == '__main__':
    run_command(main)
