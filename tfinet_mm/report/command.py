"""The command ``tfinet-report``: a folder of predictions to one HTML page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tfinet_mm.report.basemap import Basemap
from tfinet_mm.report.page import report_file, write_report
from tfinet_mm.utils.command import add_traceback_option, run_command


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write one HTML page to look through the predictions in a folder'
    )
    parser.add_argument(
        'out',
        metavar='OUT',
        help='folder that tools/predict.py wrote to, or the folder of one scene',
    )
    parser.add_argument(
        '--file', metavar='FILE|DIR', help='page to write (default: report.html in OUT)'
    )
    parser.add_argument('--title', help='heading of the page (default: names the folder)')
    parser.add_argument(
        '--max-pairs',
        type=int,
        default=24,
        metavar='N',
        help='largest number of pairs to show, the most changed ones (default: 24)',
    )
    parser.add_argument(
        '--max-side',
        type=int,
        default=2048,
        metavar='PIXELS',
        help='longer side in pixels to which images and maps are reduced (default: 2048)',
    )
    parser.add_argument(
        '--max-polygons',
        type=int,
        default=200,
        metavar='N',
        help='number of polygons of a scene to list, the largest ones (default: 200)',
    )
    parser.add_argument(
        '--basemap',
        metavar='URL',
        help='tiles that a button of the page shows below a scene, such as '
        'https://tile.example.org/{z}/{x}/{y}.png (default: none, the page can load nothing)',
    )
    parser.add_argument(
        '--basemap-credit',
        metavar='TEXT',
        help='line to show with the basemap, as its licence asks for (default: names the server)',
    )
    add_traceback_option(parser)
    args = parser.parse_args(arguments)
    if args.basemap_credit and not args.basemap:
        parser.error('--basemap-credit needs --basemap, the address of the tiles')
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    args = parse_args(arguments)
    file = write_report(
        args.out,
        None if args.file is None else report_file(args.file),
        title=args.title,
        max_pairs=args.max_pairs,
        max_side=args.max_side,
        max_polygons=args.max_polygons,
        basemap=Basemap(args.basemap, args.basemap_credit) if args.basemap else None,
    )
    print(f'Report, {file.stat().st_size / 1e6:.1f} MB: {file}')


def command() -> None:
    """Run as the command of the terminal."""
    run_command(main)
