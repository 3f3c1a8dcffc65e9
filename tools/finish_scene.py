"""Finish a predicted scene with other settings, in seconds and without predicting again.

    python tools/finish_scene.py SCENE --out DIR --threshold 0.4 --min-area 200
    python tools/finish_scene.py SCENE --out DIR --merge 'tree,low vegetation=plants'

Writes the results of tools/predict.py into DIR, from the probabilities in SCENE.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.apis.command_areas import area_table
from tfinet_mm.scenes.change_rules import LARGEST_SMOOTH
from tfinet_mm.scenes.class_changes import read_by_name, read_merges
from tfinet_mm.scenes.finishing import finish_scene
from tfinet_mm.utils.command import add_traceback_option, run_command


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('scene', type=Path, metavar='SCENE', help='folder of a predicted scene')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder to write to')
    levels = parser.add_mutually_exclusive_group()
    levels.add_argument(
        '--threshold',
        type=float,
        metavar='P',
        help="P(changed) from which a pixel is changed (default: the scene's own)",
    )
    levels.add_argument(
        '--hysteresis',
        type=float,
        nargs=2,
        metavar=('LOW', 'HIGH'),
        help='changed are regions of P(changed) from LOW that have a pixel from HIGH',
    )
    parser.add_argument(
        '--smooth',
        type=int,
        default=1,
        metavar='N',
        help='smooth change and classes by the majority of N x N pixels, N odd and at most '
        f'{LARGEST_SMOOTH} (default: 1, not)',
    )
    parser.add_argument(
        '--merge',
        nargs='+',
        default=[],
        metavar='CLASS=NAME',
        help="merge classes, such as 'tree=low vegetation' or 'tree,low vegetation=plants'",
    )
    parser.add_argument(
        '--class-names',
        type=Path,
        metavar='FILE',
        help='JSON file of new names, {"water": "Wasser"}',
    )
    parser.add_argument(
        '--palette',
        type=Path,
        metavar='FILE',
        help='JSON file of colours by name, {"water": [0, 0, 255]}',
    )
    parser.add_argument(
        '--min-area',
        type=float,
        metavar='M2',
        help="smallest polygon in square metres (default: the scene's own)",
    )
    parser.add_argument('--no-polygons', action='store_true', help='write rasters and areas only')
    parser.add_argument('--overwrite', action='store_true', help='replace other results in DIR')
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    out = finish_scene(
        args.scene,
        args.out,
        threshold=args.threshold,
        hysteresis=None if args.hysteresis is None else tuple(args.hysteresis),
        smooth=args.smooth,
        merges=read_merges(args.merge),
        names=args.class_names and read_by_name(args.class_names),
        palette=args.palette and read_by_name(args.palette),
        polygons=not args.no_polygons,
        min_area=args.min_area,
        overwrite=args.overwrite,
        progress=True,
    )
    print(f'\n{out}\n{area_table(out)}')


if __name__ == '__main__':
    run_command(main)
