"""Write a generated scene: two GeoTIFFs in different coordinate systems, and their labels.

Example: python tools/dataset/make_scene.py data/scene --size 768 --resolution 0.5 --seed 3
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from tfinet_mm.datasets.synthetic.geo import Site, write_scene
from tfinet_mm.datasets.synthetic.world import WorldConfig, generate_scene
from tfinet_mm.utils.command import add_traceback_option, run_command, seed


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    site = Site()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', help='folder to write before.tif, after.tif and labels/ to')
    parser.add_argument('--size', type=int, default=768, help='pixels, 32 to 1000 (default 768)')
    parser.add_argument(
        '--resolution', type=float, default=0.5, help='metres a pixel, 0.1 to 20 (default 0.5)'
    )
    parser.add_argument('--seed', type=seed, default=0, help='seed of the scene (default 0)')
    parser.add_argument(
        '--change-share',
        type=float,
        default=0.3,
        help='share of changed pixels to aim at, roughly (default 0.3)',
    )
    parser.add_argument(
        '--crs',
        nargs=2,
        default=[site.crs_before, site.crs_after],
        metavar=('BEFORE', 'AFTER'),
        help=f'CRS of both dates (default {site.crs_before} {site.crs_after})',
    )
    parser.add_argument(
        '--centre',
        nargs=2,
        type=float,
        default=[site.longitude, site.latitude],
        metavar=('LON', 'LAT'),
        help='middle of the scene in degrees (default %(default)s)',
    )
    parser.add_argument(
        '--shift',
        nargs=2,
        type=float,
        metavar=('EAST', 'NORTH'),
        help='metres by which after is placed wrong (default: a few pixels at random)',
    )
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    config = WorldConfig(
        size=args.size,
        seed=args.seed,
        resolutions=(args.resolution, args.resolution),
        change_share=args.change_share,
        unchanged_pairs=0.0,
        infrared=0.0,
        winter=0.0,
    )
    if args.shift is not None:
        config = replace(config, misregistration=0.0)
    files = write_scene(
        args.folder,
        generate_scene(0, config),
        args.resolution,
        Site(*args.crs, *args.centre),
        (0.0, 0.0) if args.shift is None else tuple(args.shift),
    )
    for date, path in (('before', files.before), ('after', files.after)):
        print(f'{date:8}{path}')
    print(f'{"labels":8}{files.labels}')


if __name__ == '__main__':
    run_command(main)
