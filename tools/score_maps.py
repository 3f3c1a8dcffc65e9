"""Score maps that any program wrote against labels, under both kinds of SeK.

PRED and LABELS are folders that hold a folder of maps for each date, label1 and label2. Files
match by name without suffix. Maps are index, palette or RGB images in the colours of the
classes: a class where something changed and 0 elsewhere, or land cover of every pixel beside
change masks (--pred-zero, --labels-zero). --against compares a second method on the same pairs.

Example: tools/score_maps.py maps data/SECOND/test --against other_maps --json scores.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tfinet_mm.analysis.score_maps import (
    MASK_STORAGES,
    ZEROS,
    MapFolders,
    MapScores,
    count_maps,
    format_comparison,
)
from tfinet_mm.evaluation import (
    format_table,
    overall_scores,
    paired_tests,
    score_intervals,
    scores_report,
)
from tfinet_mm.evaluation.intervals import LEVEL, RESAMPLES
from tfinet_mm.evaluation.paired import PERMUTATIONS
from tfinet_mm.io.label_storage import STATED_STORAGES
from tfinet_mm.structures import HRSCD, LANDSAT_SCD, SECOND, ClassTable
from tfinet_mm.utils.command import add_traceback_option, run_command
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text

ALL = 0.95
"""Share of pixels above which maps look like land cover of every pixel."""

TABLES = dict(SECOND=SECOND, LandsatSCD=LANDSAT_SCD, HRSCD=HRSCD)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('predictions', type=Path, metavar='PRED', help='folder of predicted maps')
    parser.add_argument('labels', type=Path, metavar='LABELS', help='folder of the annotation')
    parser.add_argument(
        '--against', type=Path, metavar='PRED', help='maps of a second method, to compare'
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        default=['SECOND'],
        metavar='CLASS',
        help=f'{", ".join(TABLES)} (default: SECOND), or NAME=R,G,B of each class, the first for '
        'unchanged: unchanged=255,255,255 water=0,0,255',
    )
    for side, what in (('pred', 'predictions'), ('labels', 'labels')):
        parser.add_argument(
            f'--{side}-folders',
            nargs='+',
            default=['label1', 'label2'],
            metavar='DIR',
            help=f'folders of the {what} before and after, and of change masks; or of change '
            'masks alone (default: label1 label2)',
        )
        parser.add_argument(
            f'--{side}-zero',
            choices=ZEROS,
            default='unchanged',
            help=f'meaning of 0 in the {what}; "class" (the first land cover) and "unknown" need '
            'change masks (default: unchanged)',
        )
        parser.add_argument(
            f'--{side}-storage',
            choices=STATED_STORAGES,
            default='auto',
            help=f'storage of the {what} (default: auto, decided from all files)',
        )
        parser.add_argument(
            f'--{side}-change-storage',
            choices=MASK_STORAGES,
            default='auto',
            help=f'storage of the change masks of the {what} (default: auto)',
        )
    parser.add_argument(
        '--key-pattern',
        metavar='REGEX',
        help='part to remove from the names of files before they are matched',
    )
    parser.add_argument(
        '--list',
        type=Path,
        metavar='FILE',
        help='file of the names of the pairs to score, one a line',
    )
    parser.add_argument(
        '--resamples',
        type=int,
        default=RESAMPLES,
        metavar='N',
        help=f'draws of pairs for confidence intervals, 0 for none (default: {RESAMPLES})',
    )
    parser.add_argument(
        '--permutations',
        type=int,
        default=PERMUTATIONS,
        metavar='N',
        help=f'with --against: exchanges of predictions for p (default: {PERMUTATIONS})',
    )
    parser.add_argument(
        '--seed', type=int, default=0, metavar='N', help='seed of both (default: 0)'
    )
    parser.add_argument('--workers', type=int, default=2, metavar='N', help='threads that read')
    parser.add_argument('--json', type=Path, metavar='FILE', help='file to write the scores to')
    add_traceback_option(parser)
    return parser.parse_args(argv)


def class_table(words: Sequence[str]) -> ClassTable:
    """Return the classes that the command line names.

    Raises:
        ValueError: A word is neither a known table alone nor NAME=R,G,B.
    """
    if len(words) == 1 and words[0] in TABLES:
        return TABLES[words[0]]
    names, colours = [], []
    for word in words:
        name, _, colour = word.rpartition('=')
        try:
            colours.append(tuple(int(part) for part in colour.split(',')))
        except ValueError:
            name = ''
        if not name:
            raise ValueError(
                f'--classes takes one of {", ".join(TABLES)}, or NAME=R,G,B of each class, got '
                f'{word!r}'
            )
        names.append(name)
    return ClassTable(tuple(names), tuple(colours))  # type: ignore[arg-type]


def notes(scores: MapScores, table: ClassTable, where: Path) -> str:
    """Return both kinds of SeK, the storages and the oddities of some maps."""
    both = overall_scores(scores.counts)
    lines = []
    if 'SeK_from_to' in both:
        lines = [
            f'SeK of the classes of each date ({len(table.names)} with unchanged): '
            f'{both["SeK"]:.2f}',
            f'SeK of transitions ({table.num_classes**2 + 1} with unchanged), SeK_from_to: '
            f'{both["SeK_from_to"]:.2f}',
            'Publications use either; compare only scores of the same kind.',
        ]
    for side, folder in (('predictions', str(where)), ('labels', 'the labels')):
        stored = sorted(scores.storages[side])
        lines.append(f'{side} are stored as {" and ".join(stored)}')
        if number := scores.one_sided[side]:
            left_out = ' and are ignored' if side == 'labels' else ''
            lines.append(
                f'note: {number} pixels of {folder} have a class on one date only{left_out}'
            )
    share = scores.counts.change / max(1, scores.counts.change.sum())
    if share[:, 1].sum() > ALL and share[1].sum() < ALL / 2:
        lines.append(
            f'note: {where} has a class at {100 * share[:, 1].sum():.1f} % of the pixels, the '
            f'labels at {100 * share[1].sum():.1f} %; if its maps are land cover of every pixel, '
            'add --pred-zero class or unknown, and change masks'
        )
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    table = class_table(args.classes)
    labels = MapFolders(
        args.labels,
        tuple(args.labels_folders),
        args.labels_zero,
        args.labels_storage,
        args.labels_change_storage,
    )
    scored: list[MapScores] = []
    reports: list[dict[str, Any]] = []
    folders = [args.predictions, *([] if args.against is None else [args.against])]
    for folder in folders:
        maps = MapFolders(
            folder,
            tuple(args.pred_folders),
            args.pred_zero,
            args.pred_storage,
            args.pred_change_storage,
        )
        scores = count_maps(maps, labels, table, args.key_pattern, args.list, args.workers)
        number = len(scores.names)
        intervals = score_intervals(scores.pairs, table, args.resamples, args.seed)
        if len(folders) > 1:
            print(f'{folder}\n')
        print(format_table(scores.counts, table, number, intervals), end='\n\n')
        print(notes(scores, table, folder), end='\n\n')
        scored.append(scores)
        reports.append(
            dict(predictions=str(folder), labels=str(args.labels))
            | scores_report(scores.counts, table, number, intervals)
        )
    if args.against is not None:
        tests = paired_tests(
            scored[0].pairs,
            scored[1].pairs,
            partial(overall_scores, dates=scored[0].counts.annotated_dates),
            args.resamples,
            args.permutations,
            args.seed,
        )
        exact = next(iter(tests.values())).exact
        about = (
            f'{100 * LEVEL:g} % intervals of the difference by {args.resamples} draws of pairs, p '
            f'by {"all" if exact else args.permutations} exchanges of predictions'
        )
        names = [str(folder) for folder in folders]
        print(format_comparison(tests, names, len(scored[0].names), about))
        reports[0] |= dict(
            against=reports[1],
            paired={
                name: dict(difference=test.difference, interval=test.interval, p_value=test.p_value)
                for name, test in tests.items()
            },
        )
    if args.json:
        with whole_file(args.json) as incomplete:
            incomplete.write_text(json_text(reports[0], indent=None), encoding='utf-8')


if __name__ == '__main__':
    run_command(main)
