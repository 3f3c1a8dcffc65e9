"""Assess the maps of a scene: draw points to label, and estimate areas from the labels.

    tools/assess.py sample SCENE [options]      draws points, with chips and a page for labelling
    tools/assess.py estimate SCENE [options]    areas with 95 % intervals, and accuracies

Label the points in assessment/label.html, in QGIS (assessment/points.gpkg) or in AcATaMa.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfinet_mm.evaluation.assessment import ALLOCATIONS
from tfinet_mm.report.labelling import write_labelling_page
from tfinet_mm.scenes.assessment.estimate import estimate_scene, format_estimate
from tfinet_mm.scenes.assessment.sample import Design, read_sample, sample_scene
from tfinet_mm.utils.command import add_traceback_option, count, run_command, seed
from tfinet_mm.utils.numbers import percent


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    design = Design()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words = parser.add_subparsers(dest='word', required=True)
    sample = words.add_parser(
        'sample', help='draw points', description='Draw a stratified random sample of points'
    )
    sample.add_argument('scene', type=Path, metavar='SCENE', help='folder of a predicted scene')
    sample.add_argument(
        '--out', type=Path, metavar='DIR', help='folder to write (default: assessment in SCENE)'
    )
    sample.add_argument(
        '--target-se',
        type=float,
        default=design.error,
        metavar='SHARE',
        help=f'standard error of overall accuracy to aim at (default: {design.error})',
    )
    sample.add_argument(
        '--points',
        type=count,
        metavar='N',
        help='number of points, in place of --target-se; more are drawn where --minimum needs them',
    )
    sample.add_argument(
        '--allocation',
        choices=ALLOCATIONS,
        default=design.allocation,
        help=f'distribution of the points over strata (default: {design.allocation})',
    )
    sample.add_argument(
        '--minimum',
        type=int,
        default=design.minimum,
        metavar='N',
        help=f'least number of points of a stratum (default: {design.minimum})',
    )
    sample.add_argument(
        '--min-share',
        type=float,
        default=design.min_share,
        metavar='SHARE',
        help=f'share of the area below which strata are merged (default: {design.min_share})',
    )
    sample.add_argument(
        '--expected',
        type=float,
        nargs=2,
        default=(design.unchanged_accuracy, design.changed_accuracy),
        metavar=('UNCHANGED', 'CHANGED'),
        help="user's accuracies to expect, for the number of points (default: "
        f'{design.unchanged_accuracy} {design.changed_accuracy})',
    )
    sample.add_argument('--seed', type=seed, default=0, metavar='N', help='seed (default: 0)')
    sample.add_argument(
        '--chip',
        type=int,
        default=design.chip,
        metavar='PIXELS',
        help=f'side of a chip, odd (default: {design.chip})',
    )
    sample.add_argument('--no-chips', action='store_true', help='make neither chips nor the page')
    for date in ('before', 'after'):
        sample.add_argument(
            f'--{date}', metavar='FILE', help=f'image {date}, if it was moved since the prediction'
        )
    sample.add_argument(
        '--overwrite', action='store_true', help='replace another sample, unless it has labels'
    )
    estimate = words.add_parser(
        'estimate', help='estimate areas', description='Estimate areas from labelled points'
    )
    estimate.add_argument(
        'folder', type=Path, metavar='SCENE', help='folder of the scene, or of its sample'
    )
    estimate.add_argument(
        '--labels',
        type=Path,
        metavar='FILE',
        help='CSV file of the page, or GeoPackage of QGIS or AcATaMa (default: points.gpkg of the '
        'sample)',
    )
    estimate.add_argument(
        '--allow-missing', action='store_true', help='leave out points without label'
    )
    for one in (sample, estimate):
        add_traceback_option(one)
    return parser.parse_args(argv)


def _other_number(asked: int, minimum: int, sample: Mapping[str, Any]) -> str:
    """Say why another number of points was drawn than asked for."""
    strata = sample['strata'][: sample['mapped']]
    drawn = f'--points {asked} asked for {asked}, {sample["points"]} were drawn'
    if sample['points'] < asked:
        return f'{drawn}: the scene has no more pixels with data'
    raised = sum(one['points'] <= minimum for one in strata)
    return (
        f'{drawn}: {raised} of the {len(strata)} strata get the least number, --minimum {minimum} '
        'each. A smaller --minimum draws fewer, and so does a larger --min-share, which merges '
        'rare strata'
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    if args.word == 'estimate':
        made = estimate_scene(args.folder, args.labels, allow_missing=args.allow_missing)
        print(format_estimate(made, matrices=False))
        print(f'With the error matrix: {read_sample(args.folder)["folder"] / "estimate.md"}')
        return
    unchanged, changed = args.expected
    design = Design(
        error=args.target_se,
        points=args.points,
        allocation=args.allocation,
        minimum=args.minimum,
        min_share=args.min_share,
        unchanged_accuracy=unchanged,
        changed_accuracy=changed,
        seed=args.seed,
        chip=0 if args.no_chips else args.chip,
    )
    out = sample_scene(
        args.scene,
        args.out,
        design,
        before=args.before,
        after=args.after,
        overwrite=args.overwrite,
    )
    sample = read_sample(out)
    for one in sample['strata'][: sample['mapped']]:
        share = one['area'] / sum(other['area'] for other in sample['strata'])
        print(f'{one["points"]:6}  {one["name"]}, {percent(100 * share)} of the area')
    print(f'{sample["points"]:6}  points: {out}')
    if args.points is not None and sample['points'] != args.points:
        print(_other_number(args.points, args.minimum, sample))
    if design.chip:
        print(f'Label them in {write_labelling_page(out)}')


if __name__ == '__main__':
    run_command(main)
