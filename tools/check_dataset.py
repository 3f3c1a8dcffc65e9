"""Check a data set before training: load every pair as training does, report what is wrong.

    python tools/check_dataset.py CONFIG [--split train|val|test|all] [--html FILE]

Exit code 1 where training would be wrong, 2 where nothing could be checked, 0 otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from tfinet_mm.datasets.check import (
    ERROR,
    DatasetReport,
    Problem,
    check_dataset,
    expected_figures,
    expected_problems,
    find_leaks,
    find_other_masks,
    format_report,
    leaf_datasets,
    leaked_pairs,
    strangest_pairs,
)
from tfinet_mm.engine.batch_guard import last_batch_note
from tfinet_mm.engine.first_step import Part, try_first_step
from tfinet_mm.engine.options import DATA_KEYS
from tfinet_mm.report.dataset_sheet import write_sheet
from tfinet_mm.report.template_files import templates
from tfinet_mm.utils.command import (
    FAILED,
    add_config_options,
    add_traceback_option,
    count,
    is_expected,
    message_of,
    run_command,
)
from tfinet_mm.utils.config.building import building
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text

SPLITS = ('train', 'val', 'test')


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--split', choices=(*SPLITS, 'all'), default='all', help='split to check (default: all)'
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        help='processes that load pairs (default: one for each core)',
    )
    parser.add_argument(
        '--fast', action='store_true', help='read headers only: sizes and storage of labels'
    )
    parser.add_argument('--json', metavar='FILE', help='also write the report to a JSON file')
    parser.add_argument(
        '--html', metavar='FILE', help='also write a page that shows the strangest pairs'
    )
    parser.add_argument(
        '--each',
        type=count,
        default=3,
        metavar='N',
        help='pairs of each kind and split on that page (default: 3)',
    )
    add_config_options(
        parser, 'set values in the config, e.g. train_dataloader.dataset.data_root=data/mine'
    )
    add_traceback_option(parser)
    return parser.parse_args(arguments)


def class_problems(cfg: Config, report: DatasetReport) -> list[Problem]:
    """Find models of a config with another number of classes than the data set."""
    head = (cfg.get('model') or {}).get('semantic_head') or {}
    number = head.get('num_classes')
    if number is None or number == report.table.num_classes:
        return []
    message = (
        f'the data set has {report.table.num_classes} land-cover classes, the model '
        f'{number}: set model.semantic_head.num_classes'
    )
    return [Problem(ERROR, '', message)]


def check_split(cfg: Config, split: str, workers: int, fast: bool) -> dict[str, Part]:
    """Check each data set of a split, and return it with its report by its name."""
    loader = cfg[f'{split}_dataloader']
    with building(f'{split}_dataloader.dataset', loader.dataset):
        built = DATASETS.build(loader.dataset)
    if split == 'train' and (note := last_batch_note(loader, len(built))):
        print(f'note: {note}\n')
    leaves = leaf_datasets(built)
    figures = expected_figures(cfg.get('expected'), split, len(leaves), SPLITS)
    parts: dict[str, Part] = {}
    for number, dataset in enumerate(leaves, start=1):
        name = split if len(leaves) == 1 else f'{split} ({number} of {len(leaves)})'
        print(f'checking {name}: {len(dataset)} pairs', file=sys.stderr)
        report = check_dataset(dataset, workers, loader.get('batch_size', 1), fast)
        report.problems[:0] = class_problems(cfg, report)
        if (stated := figures[number - 1]) is not None:
            report.problems[:0] = expected_problems(report, stated)
        parts[name] = (dataset, report)
    first = next(iter(parts.values()))[1]
    first.problems[:0] = try_first_step(cfg, split, built, list(parts.values()))
    first.problems.sort(key=lambda problem: (problem.level != ERROR, problem.where != ''))
    return parts


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print, and return the exit code."""
    args = parse_args(arguments)
    if args.workers < 0:
        raise ValueError(f'--workers must be 0 or more, got {args.workers}')
    if args.html and args.fast:
        raise ValueError('--html needs the pixels of all pairs; leave --fast out')
    if args.html:
        templates()  # Before minutes are spent on pairs.
    cfg = load_config(args.config, args.cfg_options, only=DATA_KEYS)
    wanted = SPLITS if args.split == 'all' else (args.split,)
    parts: dict[str, Part] = {}
    failed: dict[str, str] = {}
    for split in wanted:
        if cfg.get(f'{split}_dataloader') is None:
            continue
        try:
            parts.update(check_split(cfg, split, args.workers, args.fast))
        except Exception as error:
            if not is_expected(error, Path(__file__).parent):
                raise
            failed[split] = message_of(error)
    reports = {name: report for name, (_, report) in parts.items()}
    if not reports and not failed:
        raise ValueError(
            f'{args.config} has no dataloader for --split {args.split}; it needs '
            f'{" or ".join(f"{split}_dataloader" for split in wanted)}'
        )
    leaked = leaked_pairs(reports)
    leaks = find_leaks(reports, leaked)
    between = [*leaks, *find_other_masks(reports)]
    strange = [] if args.fast else strangest_pairs(reports, leaked, args.each)
    for name, report in reports.items():
        print(format_report(report, name), end='\n\n')
    for name, message in failed.items():
        print(f'{name}\n  error: {message}\n')
    for problem in between:
        print(f'{problem.level}: {problem.message}')
    if args.json:
        found: dict[str, Any] = {name: report.to_dict() for name, report in reports.items()}
        found.update({name: dict(ok=False, error=message) for name, message in failed.items()})
        found['leaks'] = [problem.message for problem in leaks]
        found['leaked'] = [asdict(one) for one in leaked]
        found['strange'] = [asdict(one) for one in strange]
        with whole_file(args.json) as partial:
            partial.write_text(json_text(found), encoding='utf-8')
    if args.html:
        datasets = {name: dataset for name, (dataset, _) in parts.items()}
        title = f'Check of {Path(args.config).stem}'
        write_sheet(args.html, reports, datasets, strange, problems=between, title=title)
        print(f'the strangest pairs are in {args.html}')
    if not reports:
        return FAILED
    return int(bool(failed or leaks or not all(report.ok for report in reports.values())))


if __name__ == '__main__':
    run_command(main)
