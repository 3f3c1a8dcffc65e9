"""The command ``tfinet series``: scenes of more than two dates to maps of when it changed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfinet_mm.apis.command_options import (
    READERS,
    add_images,
    add_network,
    add_scenes,
    is_network,
)
from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.apis.series import predict_series
from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.engine.arguments import add_launch_options
from tfinet_mm.engine.ranks import finish_launch, join_cpu_group, rank_device
from tfinet_mm.report import check_report, say_older_report, write_report
from tfinet_mm.scenes.series.grid import FIRST
from tfinet_mm.utils.command import add_traceback_option, run_command
from tfinet_mm.utils.dist import is_first_rank, one_rank_reads
from tfinet_mm.utils.numbers import percent

READING = ('bands', 'stretch', 'percentiles', 'nodata', 'resampling', 'ignore_scale')


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Predict what changed between each two neighbouring dates of a series of '
        'scenes, and when each place changed first',
        usage='%(prog)s [[CONFIG] CHECKPOINT] SCENE1 SCENE2 SCENE3 ... --out DIR [options]',
        epilog='The scenes are georeferenced rasters in the order of time. The network is that of '
        f'tfinet predict; without any, it is {DEFAULT}.',
    )
    parser.add_argument('words', nargs='+', metavar='SCENE', help=argparse.SUPPRESS)
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder to write to')
    parser.add_argument(
        '--dates',
        nargs='+',
        metavar='DATE',
        help='a date for each scene, YYYY, YYYY-MM or YYYY-MM-DD (default: those in tags or names '
        'of the files, or else numbers)',
    )
    parser.add_argument(
        '--report', action='store_true', help='also write a page to look through, DIR/report.html'
    )
    parser.add_argument('--overwrite', action='store_true', help='predict finished pairs again')
    add_network(parser.add_argument_group('the network'))
    images = parser.add_argument_group('the scenes')
    images.add_argument(
        '--grid',
        type=_grid,
        default=FIRST,
        metavar='first|SIZE',
        help='pixels of all results: those of the first scene, or their size in the units of its '
        'CRS (default: first)',
    )
    images.add_argument('--crs', help="CRS of all scenes, in place of the files' own")
    add_images(images)
    add_scenes(images, pair=False)
    add_launch_options(parser)
    add_traceback_option(parser)
    args = parser.parse_intermixed_args(arguments)
    args.scenes = list(args.words)
    network: list[str] = []
    while args.scenes and len(network) < 2 and is_network(args.scenes[0]):
        network.append(args.scenes.pop(0))
    args.config, args.checkpoint = [*network, None, None][:2]
    if args.quality is not None:
        args.quality = [None if word == '-' else word for word in args.quality]
    for name, read in READERS.items():
        if name == 'quality':
            continue
        try:
            value: Any = getattr(args, name)
            setattr(args, name, None if value is None else read(value))
        except ValueError as error:
            parser.error(str(error))
    return args


def _grid(word: str) -> str | float:
    if word == FIRST:
        return word
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'expected {FIRST} or the size of a pixel, got {word!r}'
        ) from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict the pairs that aren't finished, write the maps of the series and print a summary."""
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    join_cpu_group(args.launcher)
    _predict(args)
    # Not while an error is being raised: leaving waits for the others, and would hide it.
    finish_launch()


def _predict(args: argparse.Namespace) -> None:
    if args.report:
        check_report()
    with one_rank_reads():
        inferencer = SCDInferencer(
            args.config,
            args.checkpoint,
            rank_device(args.launcher, args.device),
            tta=args.tta,
            amp=args.amp or False,
            threshold=args.threshold,
            calibration=args.calibration,
            window=args.window,
            overlap=args.overlap if args.window is not None else None,
            batch_size=args.batch_size,
            cfg_options=args.cfg_options,
            backend=args.backend,
            compile=args.compile,
        )
    given = {name: getattr(args, name) for name in READING}
    found = predict_series(
        inferencer,
        args.scenes,
        args.out,
        dates=args.dates,
        grid=args.grid,
        crs=args.crs,
        overwrite=args.overwrite,
        align=args.align,
        workers=args.workers,
        progress=True,
        overlap=args.overlap,
        polygons=not args.no_polygons,
        min_area=args.min_area or 0.0,
        registration=not args.no_registration,
        probabilities=not args.no_probabilities,
        quality=args.quality,
        bad_values=args.bad_values,
        **{
            name: value for name, value in given.items() if value is not None and value is not False
        },
    )
    if is_first_rank():
        print(f'\n{format_series(found)}\n\nMaps and table: {args.out}')
        if args.report:
            print(f'Report: {write_report(args.out)}')
        else:
            say_older_report(args.out, args.out.glob('*/scene.json'))


def format_series(found: dict[str, Any]) -> str:
    """Return the totals of ``series.json`` as lines.

    Args:
        found: Its content.
    """
    unit, digits = found['unit'], 0 if found['unit'] == 'pixels' else 2
    rows = found['summary']

    def areas(what: str) -> list[float]:
        return [row['area'] for row in rows if row['what'] == what]

    def shown(area: float) -> str:
        return f'{area:,.{digits}f} {unit}'

    def of(area: float, whole: float) -> str:
        return f'{shown(area)} ({percent(100 * area / (whole or 1))})'

    width = max(map(len, found['intervals']))
    lines = [
        f'  {name:<{width}}  changed {of(changed, changed + same)}, for the first time '
        f'{shown(first)}'
        for name, changed, same, first in zip(
            found['intervals'],
            areas('all changed'),
            areas('unchanged'),
            areas('first change'),
            strict=True,
        )
    ]
    times = [row['area'] for row in rows if row['what'].startswith('changed ')]
    lines.append(
        f'  Over all dates {of(times[0], sum(times))} never changed, '
        f'{shown(sum(times[1:2]))} once, {shown(sum(times[2:]))} more often'
    )
    lines += [
        f'  {date}: its two predictions of land cover contradict each other on {of(area, both)}'
        for date, area, both in zip(
            found['dates'][1:-1],
            areas('all contradictions'),
            areas('with both predictions'),
            strict=True,
        )
    ]
    return '\n'.join(lines)


def command() -> None:
    """Run as the command of the terminal."""
    run_command(main)
