"""Write the maps of a predicted scene or series as tiles for a map in a browser.

Example: python tools/tiles.py maps/2018 --out 2018.pmtiles
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.scenes.tiles.writing import SCENE_MAPS, SERIES_MAPS, write_tiles
from tfinet_mm.utils.command import add_traceback_option, run_command


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'scene', type=Path, metavar='SCENE', help='folder of a predicted scene, or of a series'
    )
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='FILE|DIR',
        help='NAME.pmtiles, NAME.mbtiles, or a folder for z/x/y.png and tiles.json',
    )
    parser.add_argument(
        '--map',
        choices=(*SCENE_MAPS, *SERIES_MAPS),
        help=f'map to show: of a scene {", ".join(SCENE_MAPS)}; of a series '
        f'{", ".join(SERIES_MAPS)} (default: {SCENE_MAPS[0]}, {SERIES_MAPS[0]})',
    )
    parser.add_argument(
        '--zoom',
        type=int,
        nargs=2,
        metavar=('MIN', 'MAX'),
        help='lowest and highest zoom (default: from the scene in about one tile to the zoom that '
        'keeps all its pixels)',
    )
    parser.add_argument('--title', metavar='TEXT', help='title of the tiles')
    parser.add_argument(
        '--attribution', default='', metavar='TEXT', help='line that maps show, such as a licence'
    )
    for date in ('before', 'after'):
        parser.add_argument(
            f'--{date}',
            metavar='FILE',
            help=f'with --map picture_{date}: the image, if it was moved since the prediction',
        )
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    made = write_tiles(
        args.scene,
        args.out,
        shown=args.map,
        zooms=args.zoom,
        attribution=args.attribution,
        title=args.title,
        before=args.before,
        after=args.after,
        progress=True,
    )
    low, high = made.zooms
    tiles = 'tile' if made.tiles == 1 else 'tiles'
    print(f'{made.tiles} {tiles} of zoom {low} to {high}: {args.out}')


if __name__ == '__main__':
    run_command(main)
