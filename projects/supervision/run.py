"""Measure what half the labelled pairs are worth if land cover of one date replaces them.

    python projects/supervision/run.py train [--seeds 0 1] [--arms all half places]
    python projects/supervision/run.py table

``all`` trains on all labelled pairs, ``half`` on half of them. The other trainings replace the
other half by one image each and its land cover, of which they make pairs: of two places
(``places``), of pasted regions (``paste``) or of both kinds (``either``). All trainings have the
same number of steps. A later run skips finished trainings.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset
from tfinet_mm.engine.runner import build_runner
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.files import whole_file

HERE = Path(__file__).parent
WORK = Path('work_dirs/supervision')
RESULTS = HERE / 'results.json'
DATA = Path('data/supervision')
PAIRS, HELD_OUT = 48, 40
MADE = ('either', 'places', 'paste')
ARMS = ('all', 'half', *MADE)
SCORES = ('SeK', 'Fscd', 'change/IoU')


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Measure the worth of land cover of one date')
    kinds = parser.add_subparsers(dest='kind', required=True)
    train = kinds.add_parser('train', help='run the trainings, and write results.json')
    train.add_argument('--seeds', type=int, nargs='+', default=[0])
    train.add_argument('--arms', nargs='+', choices=ARMS, default=('all', 'half', 'either'))
    train.add_argument('--data', type=Path, default=DATA, help='folder of the generated pairs')
    kinds.add_parser('table', help='print the scores in results.json')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one part of the study."""
    args = parse_args(arguments)
    if args.kind == 'train':
        write_dataset(args.data, PAIRS, HELD_OUT, SyntheticConfig(size=128, seed=9), workers=1)
        for name, cfg in trainings(args.seeds, args.arms, args.data):
            path = WORK / f'{name}.json'
            if not path.exists():
                found = run(cfg, WORK / name)
                with whole_file(path) as part:
                    part.write_text(json.dumps(found) + '\n')
                print(name, {key: round(one, 2) for key, one in found.items()}, flush=True)
        collect()
    table(json.loads(RESULTS.read_text()))


def trainings(
    seeds: Sequence[int], arms: Sequence[str], data: Path
) -> Iterator[tuple[str, Config]]:
    """Yield the name and the config of each training."""
    for seed in seeds:
        for arm in arms:
            yield f'{arm}_{seed}', setting(arm, seed, data)


def setting(arm: str, seed: int, data: Path) -> Config:
    """Return the config of one training."""
    cfg = Config.fromfile(HERE / 'setting.py')
    cfg.randomness.seed = seed
    labelled = dict(cfg.train_dataloader.dataset)
    labelled.update(type='tfinet_mm.SyntheticSCDDataset', data_root=str(data / 'train'))
    if arm != 'all':
        labelled['indices'] = PAIRS // 2
    if arm == 'half':
        # Half the pairs have half the steps in an epoch.
        cfg.train_cfg.max_epochs *= 2
    if arm in MADE:
        parts = [labelled, made_pairs(arm, seed, data)]
        cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=parts)
    else:
        cfg.train_dataloader.dataset = labelled
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.update(type='tfinet_mm.SyntheticSCDDataset', data_root=str(data / 'val'))
    return cfg


def made_pairs(method: str, seed: int, data: Path) -> dict[str, Any]:
    """Return the config of pairs that are made of the images before of the other half."""
    return dict(
        type='tfinet_mm.SingleDateDataset',
        data_root=str(data / 'train'),
        data_prefix=dict(img_path='im1', seg_map_path='cover1'),
        indices=-(PAIRS // 2),
        semantic_classes=SECOND.names,
        semantic_palette=SECOND.palette,
        seed=seed,
        redraw=True,
        pipeline=[
            dict(type='tfinet_mm.LoadMadePair', method=method),
            dict(type='tfinet_mm.RandomFlipOrRotate'),
            dict(type='tfinet_mm.PackPairInputs'),
        ],
    )


def run(cfg: Config, folder: Path) -> dict[str, float]:
    """Train, and return the scores on the held-out pairs and the seconds of processor time."""
    cfg.work_dir, cfg.log_level = str(folder), 'ERROR'
    runner = build_runner(cfg)
    begun = time.process_time()
    runner.train()
    seconds = time.process_time() - begun
    scores = runner.val_loop.run()
    return {**{name: float(scores[name]) for name in SCORES}, 'steps': runner.iter, 'cpu': seconds}


def collect() -> None:
    """Write the scores of all finished trainings to results.json."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(WORK.glob('*_*.json')):
        arm, seed = path.stem.split('_')
        found.setdefault(arm, {})[seed] = json.loads(path.read_text())
    with whole_file(RESULTS) as part:
        part.write_text(json.dumps(found, indent=1) + '\n')


def table(results: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print the mean and the spread of each score over the seeds."""
    for arm in ARMS:
        runs = results.get(arm, {}).values()
        cells = []
        for score in SCORES:
            values = [one[score] for one in runs]
            if values:
                spread = f'({min(values):.1f}-{max(values):.1f})'
                cells.append(f'{score} {np.mean(values):5.1f} {spread}')
        if cells:
            print(f'{arm:8} {len(runs)} seeds  ' + '  '.join(cells))


if __name__ == '__main__':
    main()
