"""Measure how many labelled pairs the weights of the package save.

    python projects/labels_saved/run.py generated [--pairs 10 30 100 300] [--seeds 0 1]
    python projects/labels_saved/run.py second --data DIR      # im1, im2, label1, label2
    python projects/labels_saved/run.py plot docs/images/labels_saved.png

Each training starts from random weights, from ImageNet's or from those of the package.
``generated`` trains on pairs of a generator that these weights have not seen, and scores 60
held-out pairs. ``second`` leaves one pair of a small folder out at a time. A later run skips
finished trainings.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from tfinet_mm.engine.runner import build_runner
from tfinet_mm.evaluation.functional import binary_scores, scd_scores
from tfinet_mm.utils.files import whole_file

HERE = Path(__file__).parent
WORK = Path('work_dirs/labels_saved')
STARTS = dict(scratch='random weights', imagenet='ImageNet', generated='the package')
SCORES = ('SeK', 'Fscd', 'change/F1')


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Measure how many labelled pairs weights save')
    kinds = parser.add_subparsers(dest='kind', required=True)
    generated = kinds.add_parser('generated', help='on generated pairs of another style')
    generated.add_argument('--pairs', type=int, nargs='+', default=[10, 30, 100, 300])
    generated.add_argument('--seeds', type=int, nargs='+', default=[0])
    generated.add_argument('--starts', nargs='+', choices=tuple(STARTS), default=tuple(STARTS))
    second = kinds.add_parser('second', help='on a few real pairs, one left out at a time')
    second.add_argument('--data', required=True, help='folder with im1, im2, label1 and label2')
    second.add_argument('--steps', type=int, default=60)
    second.add_argument('--starts', nargs='+', choices=tuple(STARTS), default=tuple(STARTS))
    plot = kinds.add_parser('plot', help='draw the measured scores')
    plot.add_argument('out', type=Path)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one part of the study."""
    args = parse_args(arguments)
    if args.kind == 'plot':
        plot(args.out)
        return
    runs = generated(args) if args.kind == 'generated' else second(args)
    for name, cfg in runs:
        path = WORK / args.kind / f'{name}.json'
        if path.exists():
            continue
        scores = train(cfg, WORK / args.kind / name)
        with whole_file(path) as part:
            part.write_text(json.dumps(scores) + '\n')
        print(name, {key: round(value, 1) for key, value in scores['scores'].items()}, flush=True)
    if args.kind == 'second':
        table(WORK / 'second')


def generated(args: argparse.Namespace) -> Iterator[tuple[str, Config]]:
    """Yield the trainings on the other generator's pairs."""
    from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset

    root = Path('data/labels_saved')
    write_dataset(root, max(args.pairs), 60, SyntheticConfig(size=128, seed=11), workers=2)
    for seed in args.seeds:
        for pairs in args.pairs:
            for start in args.starts:
                cfg = setting(start, 'tfinet_mm.SyntheticSCDDataset', root / 'train', root / 'val')
                cfg.train_dataloader.dataset.indices = list(range(pairs))
                cfg.randomness.seed = seed
                yield f'{pairs}_{start}_{seed}', cfg


def second(args: argparse.Namespace) -> Iterator[tuple[str, Config]]:
    """Yield the trainings on all pairs but one."""
    names = sorted(path.name for path in Path(args.data, 'im1').iterdir())
    for left_out in range(len(names)):
        for start in args.starts:
            cfg = setting(start, 'tfinet_mm.SECONDDataset', args.data, args.data)
            others = [i for i in range(len(names)) if i != left_out]
            cfg.train_dataloader.dataset.indices = others
            for loader in (cfg.val_dataloader, cfg.test_dataloader):
                loader.dataset.indices = [left_out]
            cfg.train_cfg.max_iters = args.steps
            cfg.param_scheduler[1].end = args.steps + 1
            # Each batch is all pairs but one: a small folder has fewer than the setting's 8.
            cfg.train_dataloader.batch_size = len(others)
            yield f'{left_out}_{start}', cfg


def setting(start: str, dataset: str, train_root: Any, val_root: Any) -> Config:
    """Return the config of one training."""
    cfg = Config.fromfile(HERE / 'setting.py')
    if start == 'scratch':
        cfg.model.backbone.init_cfg = None
    elif start == 'generated':
        cfg.load_from = 'tfinet_lite0_fpn_generated'
    for loader, root in (
        (cfg.train_dataloader, train_root),
        (cfg.val_dataloader, val_root),
        (cfg.test_dataloader, val_root),
    ):
        loader.dataset.type, loader.dataset.data_root = dataset, str(root)
    return cfg


def train(cfg: Config, folder: Path) -> dict[str, Any]:
    """Train, and return the scores and counts on the held-out pairs."""
    cfg.work_dir, cfg.log_level = str(folder), 'ERROR'
    counts = folder / 'scores.json'
    cfg.val_evaluator.out_file = str(counts)
    runner = build_runner(cfg)
    runner.train()
    scores = runner.val_loop.run()
    return {
        'scores': {name: float(scores[name]) for name in SCORES},
        'confusion': json.loads(counts.read_text())['confusion'],
    }


def table(folder: Path) -> None:
    """Print the scores over all pairs that were left out, each by the training without it."""
    for start, label in STARTS.items():
        runs = [json.loads(path.read_text()) for path in sorted(folder.glob(f'*_{start}.json'))]
        if runs:
            sums = {
                name: np.sum([run['confusion'][name] for run in runs], axis=0)
                for name in ('scd', 'change')
            }
            semantic, binary = scd_scores(sums['scd']), binary_scores(sums['change'])
            print(
                f'{label:16} {len(runs)} pairs  SeK {semantic["SeK"]:.1f}  '
                f'Fscd {semantic["Fscd"]:.1f}  change F1 {binary["F1"]:.1f}'
            )


def plot(out: Path) -> None:
    """Draw scores over the number of labelled pairs, and the real pairs beside them."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    found: dict[str, dict[int, list[dict[str, float]]]] = {start: {} for start in STARTS}
    for path in sorted((WORK / 'generated').glob('*.json')):
        pairs, start, _ = path.stem.split('_')
        found[start].setdefault(int(pairs), []).append(json.loads(path.read_text())['scores'])
    figure, axes = plt.subplots(1, len(SCORES), figsize=(10, 3.2), constrained_layout=True)
    for axis, score in zip(axes, SCORES, strict=True):
        for start, label in STARTS.items():
            sizes = sorted(found[start])
            values = [np.mean([run[score] for run in found[start][size]]) for size in sizes]
            axis.plot(sizes, values, 'o-', label=label)
        axis.set(xscale='log', xlabel='labelled pairs', title=score)
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.grid(alpha=0.3)
    axes[-1].legend(title='begun with', loc='lower right')
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


if __name__ == '__main__':
    main()
