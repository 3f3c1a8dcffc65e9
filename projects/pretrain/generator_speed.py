"""Measure how many pairs a second the generator of scenes makes in several processes.

    python projects/pretrain/generator_speed.py [--size 256] [--workers 2] [--pairs 120]

Each process has one core.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tfinet_mm.datasets.synthetic.raster import cv2
from tfinet_mm.datasets.synthetic.world import WorldConfig, generate_scene


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate pairs and print how fast."""
    parser = argparse.ArgumentParser(description='Time the generator of scenes')
    parser.add_argument('--size', type=int, default=256)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--pairs', type=int, default=120)
    args = parser.parse_args(arguments)
    config = WorldConfig(size=args.size, seed=5)
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(args.workers, context, initializer=prepare) as pool:
        # The first pair of each process makes its tiles.
        list(pool.map(partial(used, config=config), range(4 * args.workers)))
        start = time.perf_counter()
        seconds = sum(pool.map(partial(used, config=config), range(args.pairs), chunksize=4))
        wall = time.perf_counter() - start
    print(
        f'{args.pairs} pairs of {args.size} x {args.size} in {args.workers} processes: '
        f'{args.pairs / wall:.1f} a second, {1000 * seconds / args.pairs:.0f} ms of a core each'
    )


def prepare() -> None:
    """Let each process use one core."""
    cv2.setNumThreads(1)


def used(index: int, config: WorldConfig) -> float:
    """Generate a pair and return the CPU time in seconds."""
    start = time.process_time()
    generate_scene(index, config)
    return time.process_time() - start


if __name__ == '__main__':
    main()
