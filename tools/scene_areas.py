"""Print the areas of a predicted scene, and sum them up within polygons of interest.

tools/scene_areas.py SCENE                               the whole scene
tools/scene_areas.py SCENE --aoi FILE [--by FIELD]       each polygon, or each value of a field
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.apis.command_areas import area_table
from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.totals import format_totals, sentences
from tfinet_mm.scenes.zones.areas import ZoneAreas, write_zone_areas
from tfinet_mm.scenes.zones.coverage import METHODS
from tfinet_mm.utils.command import add_traceback_option, run_command
from tfinet_mm.utils.numbers import percent

MOST_ZONES = 20


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('scene', type=Path, metavar='SCENE', help='folder of a predicted scene')
    parser.add_argument(
        '--aoi', type=Path, metavar='FILE', help='polygons: GeoPackage, GeoJSON or shapefile'
    )
    parser.add_argument(
        '--by', metavar='FIELD', help='field that names the zones (default: each polygon is one)'
    )
    parser.add_argument('--aoi-layer', metavar='NAME', help='layer of a file of several')
    parser.add_argument(
        '--aoi-crs', metavar='CRS', help="CRS of the polygons in place of the file's own"
    )
    parser.add_argument(
        '--coverage',
        choices=METHODS,
        default='auto',
        help='pixels on the border of a polygon: exact counts the part inside, centre those whose '
        'centre is inside (default: exact where exactextract is installed)',
    )
    parser.add_argument(
        '--out', type=Path, metavar='DIR', help='folder to write (default: zones/FILE in SCENE)'
    )
    add_traceback_option(parser)
    args = parser.parse_args(argv)
    if args.aoi is None and (args.by or args.aoi_layer or args.aoi_crs or args.out):
        parser.error('--by, --aoi-layer, --aoi-crs and --out need polygons: add --aoi FILE')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        SceneError: No polygon touches the scene.
    """
    args = parse_args(argv)
    if args.aoi is None:
        print(area_table(SceneResults(args.scene).folder))
        return
    folder, found, coverage = write_zone_areas(
        args.scene,
        args.aoi,
        args.out,
        by=args.by,
        layer=args.aoi_layer,
        crs=args.aoi_crs,
        coverage=args.coverage,
    )
    if args.coverage == 'auto' and coverage == 'centre':
        warnings.warn(
            'exactextract is not installed, so a pixel counts where its centre is inside a '
            'polygon; pip install "tfinet-mm[zones]" counts parts of pixels',
            stacklevel=1,
        )
    for one in found[:MOST_ZONES]:
        print(describe(one), end='\n\n')
    if len(found) > MOST_ZONES:
        print(f'{len(found) - MOST_ZONES} more zones are in the files.')
    outside = [one.name for one in found if one.outside >= 1]
    if outside:
        names = ', '.join(outside[:MOST_ZONES]) + (', …' if len(outside) > MOST_ZONES else '')
        print(f'Outside of the scene: {names}')
    print(f'{len(found)} zones: {folder}')
    if len(outside) == len(found):
        raise SceneError(
            f'all polygons of {args.aoi} are outside of the scene; check their CRS, or state it '
            'with --aoi-crs'
        )


def describe(one: ZoneAreas) -> str:
    """Return the areas of a zone as text."""
    parts = [f'{percent(100 * one.outside)} outside of the scene'] if one.outside else []
    parts += [f'{percent(one.areas.not_seen_percent)} not seen'] if one.areas.not_seen else []
    changed = one.areas.totals()['changed'][0]
    known = changed + one.areas.unchanged
    digits = 0 if one.areas.unit == 'pixels' else 2
    parts.append(f'changed {changed:,.{digits}f} of {known:,.{digits}f} {one.areas.unit}')
    lines = [f'{one.name}: {", ".join(parts)}', format_totals(one.areas)]
    lines += [f'  {line}' for line in sentences(one.areas)]
    return '\n'.join(lines)


if __name__ == '__main__':
    run_command(main)
