"""Print the scores of several tests side by side.

Each is NAME=FILE or FILE, a JSON file that tools/test.py --json or tools/analysis/score_scene.py
--json wrote.

Example: python tools/analysis/compare_scores.py first=a/scores.json second=b/scores.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tfinet_mm.evaluation.comparison import compare_scores, read_scores
from tfinet_mm.utils.command import add_traceback_option, run_command


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('tests', nargs='+', metavar='[NAME=]FILE', help='scores, and their name')
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        ValueError: Two tests have one name.
    """
    words = [word.partition('=') for word in parse_args(argv).tests]
    files = {name: file or name for name, _, file in words}
    if len(files) < len(words):
        raise ValueError(
            f'expected a different name for each test, got {[name for name, _, _ in words]}'
        )
    print(compare_scores({name: read_scores(file) for name, file in files.items()}))


if __name__ == '__main__':
    run_command(main)
