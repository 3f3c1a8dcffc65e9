"""Put several rasters of one date together as a virtual raster, without copying pixels.

The files lie on one lattice of pixels and have the same bands. Pixels that none of them covers
are masked. Predict the virtual raster as any other file.

Example: tools/mosaic.py 2018.vrt tiles/2018_*.tif
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tfinet_mm.scenes.mosaic import write_mosaic
from tfinet_mm.utils.command import add_traceback_option, run_command


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('target', metavar='OUT.vrt', help='virtual raster to write')
    parser.add_argument(
        'files',
        nargs='+',
        metavar='FILE',
        help='rasters; where they overlap, the last one that has data is shown',
    )
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the virtual raster."""
    args = parse_args(argv)
    write_mosaic(args.target, args.files)
    print(f'{len(args.files)} files: {args.target}')


if __name__ == '__main__':
    run_command(main)
