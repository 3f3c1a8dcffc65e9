"""Measure the time and memory for checking a data set with tools/check_dataset.py.

The tool writes pairs into a temporary folder: images of both dates, land cover of both dates and
change masks, PNG files of generated scenes, moved and mirrored so that each pair is another one.
It then checks all of them in another process, without and with a page of the strangest pairs.

Example: python tools/analysis/benchmark_check.py --pairs 1000 --size 512
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfinet_mm.datasets.synthetic import SyntheticConfig, generate_pair
from tfinet_mm.io.png import write_palette_png, write_png
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.command import add_traceback_option, count, run_command

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = [{root!r} + '/configs/_base_/' + part for part in (
    'models/tfinet_r18.py', 'datasets/synthetic.py', 'default_runtime.py')]
train_dataloader = dict(dataset=dict(
    data_root={data!r}, data_prefix=dict(seg_map_path='change')))
val_dataloader = None
test_dataloader = None
"""
# The largest of its processes counts: the one that waits, or one that loads pairs.
MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps(dict(
    code=code, seconds=seconds, cpu_seconds=used.ru_utime + used.ru_stime,
    peak=used.ru_maxrss / 1024)))
"""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--pairs', type=count, default=1000, help='default: 1000')
    parser.add_argument('--size', type=count, default=512, help='side in pixels (default: 512)')
    parser.add_argument(
        '--scenes', type=count, default=20, help='generated scenes to make them of (default: 20)'
    )
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count() or 1, help='default: one for each core'
    )
    parser.add_argument(
        '--folder', type=Path, help='folder to make the files in (default: a temporary one)'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='file to write the figures to')
    add_traceback_option(parser)
    return parser.parse_args(argv)


def write_pairs(root: Path, pairs: int, size: int, scenes: int) -> None:
    """Write pairs of moved and mirrored scenes.

    Args:
        root: Folder of the data set.
        pairs: Number of pairs.
        size: Height and width in pixels.
        scenes: Number of scenes to generate.
    """
    config = SyntheticConfig(size=size)
    made = [generate_pair(number, config) for number in range(min(scenes, pairs))]
    rng = np.random.default_rng(0)
    for number in tqdm(range(pairs), desc='writing', unit='pair', leave=False):
        pair = made[number % len(made)]
        shift = tuple(int(one) for one in rng.integers(0, size, 2))
        turns = number // len(made) % 4

        def moved(
            values: np.ndarray, shift: tuple[int, ...] = shift, turns: int = turns
        ) -> np.ndarray:
            return np.ascontiguousarray(np.rot90(np.roll(values, shift, axis=(0, 1)), turns))

        name = f'{number:06d}.png'
        write_png(root / 'im1' / name, moved(pair.before))
        write_png(root / 'im2' / name, moved(pair.after))
        for folder, label in (('label1', pair.label_from), ('label2', pair.label_to)):
            write_palette_png(root / folder / name, moved(label), SECOND.palette)
        write_png(root / 'change' / name, moved((pair.label_from > 0) * np.uint8(255)))


def measure(*words: object) -> dict[str, float]:
    """Return exit code, seconds, seconds of all processors and peak memory in MB of a command."""
    command = [sys.executable, '-c', MEASURE, sys.executable, '-W', 'ignore', *map(str, words)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(found))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        root = Path(folder)
        start = time.perf_counter()
        write_pairs(root / 'data', args.pairs, args.size, args.scenes)
        print(f'{args.pairs} pairs written in {time.perf_counter() - start:.0f} s')
        config = root / 'config.py'
        config.write_text(CONFIG.format(root=str(ROOT), data=str(root / 'data')))
        words = [ROOT / 'tools' / 'check_dataset.py', config, '--workers', args.workers]
        few = ['--cfg-options', f'train_dataloader.dataset.indices={max(1, args.pairs // 10)}']
        figures = dict(
            tenth=measure(*words, *few),
            all=measure(*words),
            page=measure(*words, '--html', root / 'page.html'),
        )
    for name, one in figures.items():
        print(
            f'{name}: {one["seconds"]:.1f} s with {args.workers} workers, '
            f'{one["cpu_seconds"]:.1f} s of one core, {one["peak"]:.0f} MB in the largest process, '
            f'exit code {one["code"]}'
        )
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(figures, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    run_command(main)
