"""Write a STAC item of a predicted scene, for a catalogue of maps.

Example: python tools/stac_item.py maps/2018 --before-date 2018-06-01 --after-date 2023-06-02
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.scenes.stac import write_item
from tfinet_mm.utils.command import add_traceback_option, run_command


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('scene', type=Path, metavar='SCENE', help='folder of a predicted scene')
    for date in ('before', 'after'):
        parser.add_argument(
            f'--{date}-date',
            metavar='TIME',
            help=f'when the image {date} was taken, ISO 8601, in UTC unless it has a zone '
            '(default: as its metadata state)',
        )
    parser.add_argument('--id', metavar='NAME', help='id of the item (default: name of SCENE)')
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='file to write (default: item.json in SCENE)'
    )
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    made = write_item(
        args.scene, args.out, name=args.id, before=args.before_date, after=args.after_date
    )
    print(made)


if __name__ == '__main__':
    run_command(main)
