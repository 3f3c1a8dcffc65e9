"""Make labels for training from polygons of changes that were corrected in QGIS.

Example: python tools/dataset/make_labels.py maps/2018 corrected.gpkg --out data/corrections
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tfinet_mm.scenes.corrections.dataset import RESTS, write_labels
from tfinet_mm.utils.command import add_traceback_option, count, run_command


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('scene', metavar='SCENE', help='folder of a predicted scene')
    parser.add_argument(
        'corrections',
        metavar='CORRECTIONS',
        help='its changes.gpkg with corrections: other classes in from and to, deleted polygons, '
        'added polygons',
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the data set')
    parser.add_argument(
        '--reviewed',
        metavar='FILE',
        help='polygons of places in which every polygon was looked at; all pixels there are '
        'labelled',
    )
    parser.add_argument(
        '--rest',
        choices=RESTS,
        default='ignore',
        help='labels of the rest of the windows: none (default), or the prediction where the '
        'network is sure',
    )
    parser.add_argument(
        '--others',
        type=int,
        metavar='NUMBER',
        help='windows without a correction to add (default: as many as have one)',
    )
    parser.add_argument(
        '--size', type=count, default=512, help='side of a window in pixels (default: 512)'
    )
    for date in ('before', 'after'):
        parser.add_argument(
            f'--{date}', metavar='FILE', help=f'the file of {date}, if it was moved'
        )
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    made = write_labels(
        args.scene,
        args.corrections,
        args.out,
        reviewed=args.reviewed,
        rest=args.rest,
        others=args.others,
        size=args.size,
        before=args.before,
        after=args.after,
    )
    digits = 0 if made.unit == 'pixels' else 2
    for kind, area in made.areas.items():
        print(f'  {kind:14} {area:,.{digits}f} {made.unit}')
    print(f'{args.out}: {made.windows} windows, {made.others} of them without a correction')


if __name__ == '__main__':
    run_command(main)
