"""Check a data set before training: load every pair, report its contents and its problems.

    python tools/check_dataset.py CONFIG [--split train|val|test|all] [--workers N]

Exit code 1 where training would be wrong, 2 where nothing could be checked, 0 otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from tfinet_mm.datasets.check import (
    ERROR,
    DatasetReport,
    Problem,
    check_dataset,
    find_leaks,
    find_other_masks,
    format_report,
    leaf_datasets,
)
from tfinet_mm.engine.batch_guard import last_batch_note
from tfinet_mm.engine.options import DATA_KEYS
from tfinet_mm.utils.command import (
    add_config_options,
    add_traceback_option,
    is_expected,
    message_of,
    run_command,
)
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
        '--workers', type=int, default=2, help='processes that load pairs (default: 2)'
    )
    parser.add_argument('--json', metavar='FILE', help='also write the report to a JSON file')
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


def check_split(cfg: Config, split: str, workers: int) -> dict[str, DatasetReport]:
    """Check each data set of a split, and return the reports by their names."""
    loader = cfg[f'{split}_dataloader']
    built = DATASETS.build(loader.dataset)
    if split == 'train' and (note := last_batch_note(loader, len(built))):
        print(f'note: {note}\n')
    leaves = leaf_datasets(built)
    reports = {}
    for number, dataset in enumerate(leaves, start=1):
        name = split if len(leaves) == 1 else f'{split} ({number} of {len(leaves)})'
        print(f'checking {name}: {len(dataset)} pairs', file=sys.stderr)
        report = check_dataset(dataset, workers, loader.get('batch_size', 1))
        report.problems[:0] = class_problems(cfg, report)
        reports[name] = report
    return reports


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print, and return the exit code."""
    args = parse_args(arguments)
    if args.workers < 0:
        raise ValueError(f'--workers must be 0 or more, got {args.workers}')
    cfg = load_config(args.config, args.cfg_options, only=DATA_KEYS)
    wanted = SPLITS if args.split == 'all' else (args.split,)
    reports: dict[str, DatasetReport] = {}
    failed: dict[str, str] = {}
    for split in wanted:
        if cfg.get(f'{split}_dataloader') is None:
            continue
        try:
            reports.update(check_split(cfg, split, args.workers))
        except Exception as error:
            if not is_expected(error, Path(__file__).parent):
                raise
            failed[split] = message_of(error)
    if not reports and not failed:
        raise ValueError(
            f'{args.config} has no dataloader for --split {args.split}; it needs '
            f'{" or ".join(f"{split}_dataloader" for split in wanted)}'
        )
    leaks = find_leaks(reports)
    for name, report in reports.items():
        print(format_report(report, name), end='\n\n')
    for name, message in failed.items():
        print(f'{name}\n  error: {message}\n')
    for problem in (*leaks, *find_other_masks(reports)):
        print(f'{problem.level}: {problem.message}')
    if args.json:
        found: dict[str, Any] = {name: report.to_dict() for name, report in reports.items()}
        found.update({name: dict(ok=False, error=message) for name, message in failed.items()})
        found['leaks'] = [problem.message for problem in leaks]
        with whole_file(args.json) as partial:
            partial.write_text(json_text(found), encoding='utf-8')
    return int(bool(failed or leaks or not all(report.ok for report in reports.values())))


if __name__ == '__main__':
    run_command(main)
