"""Measure the time and memory for listing the pairs of a large data set.

The tool makes empty files of images and labels of both dates in a temporary folder, and lists them
with SCDDataset in another process. The files aren't read.

Example: python tools/analysis/benchmark_listing.py --pairs 200000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.utils.command import add_traceback_option, run_command

FOLDERS = ('im1', 'im2', 'label1', 'label2')
# In another process, whose memory is then that of the data set alone. Linux counts in kB.
MEASURE = """
import json, resource, sys, time
from tfinet_mm.datasets import SECONDDataset
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
resident = lambda: int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() / 2**20
options = dict(data_root=sys.argv[1], **json.loads(sys.argv[2]))
first, start = resident(), time.perf_counter()
dataset = SECONDDataset(**options)
seconds = time.perf_counter() - start
print(json.dumps(dict(
    pairs=len(dataset), seconds=seconds, peak=peak() - first, kept=resident() - first,
    last=dataset.get_data_info(-1)['sample_id'],
)))
"""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--pairs', type=int, default=200_000, help='default: 200000')
    parser.add_argument(
        '--folder', type=Path, help='folder to make the files in (default: a temporary one)'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='file to write the figures to')
    add_traceback_option(parser)
    return parser.parse_args(argv)


def make_files(root: Path, pairs: int) -> None:
    """Make empty files of every pair, and a list file of all names in reverse."""
    names = [f'region_{number // 1000:04d}_tile_{number:08d}' for number in range(pairs)]
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / folder / f'{name}.png').touch()
    (root / 'list.txt').write_text('\n'.join(reversed(names)) + '\n')


def measure(root: Path, **options: object) -> dict[str, float]:
    """Return seconds, and MB at the peak and kept, of listing the pairs below a folder."""
    words = [sys.executable, '-W', 'ignore', '-c', MEASURE, str(root), json.dumps(options)]
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(found.splitlines()[-1]))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        root = Path(folder)
        start = time.perf_counter()
        make_files(root, args.pairs)
        print(f'{4 * args.pairs} files made in {time.perf_counter() - start:.0f} s')
        cases = dict(folders={}, list_file=dict(ann_file='list.txt'))
        figures = {name: measure(root, **options) for name, options in cases.items()}
    for name, one in figures.items():
        print(
            f'{name}: {one["pairs"]} pairs in {one["seconds"]:.1f} s, {one["peak"]:.0f} MB at the '
            f'peak, {one["kept"]:.0f} MB kept'
        )
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(figures, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    run_command(main)
