"""Measure time and memory of predicting a scene, and the time of the bare network.

    python tools/analysis/benchmark_scene.py CONFIG [CHECKPOINT] [--size N] [--window N] ...

Predicts a synthetic pair of GeoTIFFs. The bare network runs on as many windows, in the same
batches, from memory; without a checkpoint its weights are random.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
import torch
from rasterio.windows import Window

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.engine.arguments import add_amp_option
from tfinet_mm.models.members import network_bands
from tfinet_mm.registry import MODELS
from tfinet_mm.scenes.blending import WindowPlan
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.results import SCENE_FILE
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command
from tfinet_mm.utils.config.loading import load_config

STRIP = 512
# Side in pixels of a patch of the synthetic scenes.
FEATURE = 16


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Time and memory of predicting a scene')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='weights (default: random)')
    parser.add_argument('--size', type=int, default=2048, help='side in pixels (default: 2048)')
    parser.add_argument('--window', type=int, help='side in pixels (default: from the config)')
    parser.add_argument('--overlap', type=int, help='pixels that neighbouring windows share')
    parser.add_argument('--batch-size', type=int, default=4, help='windows in a batch (default: 4)')
    parser.add_argument('--workers', type=int, default=2, help='threads that read (default: 2)')
    parser.add_argument('--device', help="device, 'cpu' or 'cuda:0' (default: a GPU if any)")
    add_amp_option(parser)
    parser.add_argument('--threads', type=int, help="threads of the CPU (default: torch's)")
    parser.add_argument(
        '--bare',
        type=int,
        default=20,
        metavar='N',
        help='batches of the bare network to time, half before and half after; their median '
        'counts for all (default: 20)',
    )
    parser.add_argument('--no-polygons', action='store_true', help='write rasters and areas only')
    parser.add_argument(
        '--warp', action='store_true', help='give the second date another CRS and other pixels'
    )
    parser.add_argument(
        '--folder', help='folder that keeps scenes and results (default: temporary)'
    )
    parser.add_argument('--json', metavar='FILE', help='also write the figures to this file')
    add_config_options(parser)
    add_traceback_option(parser)
    args = parser.parse_args(arguments)
    if min(args.size, args.batch_size, args.bare) < 1:
        parser.error('--size, --batch-size and --bare must be above 0')
    return args


def write_scene(path: Path, size: int, bands: int, seed: int, warp: bool = False) -> None:
    """Write a tiled GeoTIFF of coloured patches, strip by strip; an existing file is kept."""
    if path.exists():
        return
    generator = np.random.default_rng(seed)
    crs, pixel, x, y = 'EPSG:32633', 1.0, 500_000, 5_000_000
    if warp:
        # The neighbouring zone; large enough to cover the first date's part of it.
        from rasterio.warp import transform_bounds

        left, bottom, right, top = transform_bounds(crs, 'EPSG:32634', x, y - size, x + size, y)
        crs, x, y = 'EPSG:32634', left, top
        pixel = max(right - left, top - bottom) / size
    options: dict[str, Any] = dict(
        driver='GTiff',
        count=bands,
        height=size,
        width=size,
        dtype='uint8',
        crs=crs,
        transform=rasterio.Affine(pixel, 0, x, 0, -pixel, y),
        tiled=True,
        blockxsize=STRIP,
        blockysize=STRIP,
        compress='deflate',
        bigtiff='if_safer',
    )
    partial = path.with_suffix('.partial.tif')
    with rasterio.open(partial, 'w', **options) as file:
        for top in range(0, size, STRIP):
            height = min(STRIP, size - top)
            shape = -(-height // FEATURE), -(-size // FEATURE)
            coarse = generator.integers(20, 236, (bands, *shape)).astype(np.uint8)
            strip = [
                cv2.resize(band, None, fx=FEATURE, fy=FEATURE, interpolation=cv2.INTER_CUBIC)
                for band in coarse
            ]
            values = np.stack(strip)[:, :height, :size]
            file.write(values, window=Window(0, top, size, height))
    os.replace(partial, path)


def random_checkpoint(config: str, options: dict[str, Any] | None, folder: Path) -> Path:
    """Write the weights of a config's network before any training, and return their path."""
    cfg = load_config(config, options)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    path = folder / 'random.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return path


def time_batches(
    inferencer: SCDInferencer, side: int, sizes: Sequence[int]
) -> list[tuple[float, float]]:
    """Return the seconds, and CPU seconds, of the network for each batch of random windows.

    Each is timed until its results are in memory.
    """
    generator = np.random.default_rng(0)
    seconds = []
    with inferencer.whole_images():
        for size in sizes:
            shape = (size, 2 * inferencer.network_bands, side, side)
            pairs = generator.integers(0, 256, shape).astype(np.uint8)
            start = time.perf_counter(), time.process_time()
            torch.cat(list(inferencer.predict_probabilities(pairs)), 1).cpu()
            seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return seconds


def peak_megabytes() -> float:
    """Return the peak memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == 'darwin' else 2**10)


@contextlib.contextmanager
def _folder(path: str | None) -> Iterator[Path]:
    if path is None:
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)
    else:
        Path(path).mkdir(parents=True, exist_ok=True)
        yield Path(path)


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the scenes, predict them, and return all figures."""
    if args.threads:
        torch.set_num_threads(args.threads)
    bands = network_bands(load_config(args.config, args.cfg_options))
    scenes = [folder / 'before.tif', folder / 'after.tif']
    for seed, path in enumerate(scenes):
        write_scene(path, args.size, bands, seed, args.warp and seed == 1)
    checkpoint = args.checkpoint or random_checkpoint(args.config, args.cfg_options, folder)
    inferencer = SCDInferencer(
        args.config,
        checkpoint,
        args.device,
        amp=args.amp or False,
        batch_size=args.batch_size,
        cfg_options=args.cfg_options,
    )
    side = args.window or inferencer.window
    # The first two batches, which take longer, aren't counted.
    half = max(args.bare // 2, 1)
    bare = time_batches(inferencer, side, [args.batch_size] * (half + 2))[2:]
    base = peak_megabytes()
    out = folder / 'out'
    start = time.perf_counter(), time.process_time()
    predict_scene(
        inferencer,
        scenes[0],
        scenes[1],
        out,
        window=args.window,
        overlap=args.overlap,
        workers=args.workers,
        overwrite=True,
        progress=True,
        polygons=not args.no_polygons,
    )
    total, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    peak = peak_megabytes()
    bare += time_batches(inferencer, side, [args.batch_size] * half)
    found = json.loads((out / SCENE_FILE).read_text(encoding='utf-8'))
    grid, settings = found['grid'], found['settings']
    plan = WindowPlan(grid['width'], grid['height'], settings['window'], settings['overlap'])
    rows = [len(row) for row in plan.rows()]
    full, rest = divmod(rows[0], args.batch_size)
    per_row = full * np.median(bare, axis=0)
    if rest:
        per_row += np.median(time_batches(inferencer, side, [rest] * 5)[2:], axis=0)
    expected, expected_cpu = (len(rows) * per_row).tolist()
    return dict(
        width=plan.width,
        height=plan.height,
        window=plan.size,
        overlap=plan.overlap,
        windows=sum(rows),
        batch_size=args.batch_size,
        amp=settings['amp'],
        batch_seconds=float(np.median(bare, axis=0)[0]),
        bare_seconds=expected,
        predicting_seconds=found['seconds_predicting'],
        total_seconds=total,
        overhead_percent=100 * (found['seconds_predicting'] / expected - 1),
        total_overhead_percent=100 * (total / expected - 1),
        bare_cpu_seconds=expected_cpu,
        total_cpu_seconds=cpu,
        cpu_overhead_percent=100 * (cpu / expected_cpu - 1),
        other_cpu_seconds_a_megapixel=1e6 * (cpu - expected_cpu) / (plan.width * plan.height),
        model_megabytes=base,
        peak_megabytes=peak,
        added_megabytes=peak - base,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(arguments)
    with _folder(args.folder) as folder:
        found = measure(args, folder)
    rows = [
        ('scene', f'{found["width"]} x {found["height"]} pixels'),
        (
            'windows',
            f'{found["windows"]} of {found["window"]}, overlap {found["overlap"]}, '
            f'{found["batch_size"]} a batch',
        ),
        ('computed in', str(found['amp'])),
        ('bare network', f'{found["bare_seconds"]:.1f} s ({found["batch_seconds"]:.3f} s a batch)'),
        (
            'reading, predicting, writing rows',
            f'{found["predicting_seconds"]:.1f} s ({found["overhead_percent"]:+.1f} %)',
        ),
        (
            'with all results',
            f'{found["total_seconds"]:.1f} s ({found["total_overhead_percent"]:+.1f} %)',
        ),
        (
            'time of CPUs with all results',
            f'{found["total_cpu_seconds"]:.1f} s, bare {found["bare_cpu_seconds"]:.1f} s '
            f'({found["cpu_overhead_percent"]:+.1f} %)',
        ),
        (
            'besides the network',
            f'{found["other_cpu_seconds_a_megapixel"]:.2f} s of CPUs for a megapixel',
        ),
        ('peak memory before', f'{found["model_megabytes"]:.0f} MiB (Python, network, one batch)'),
        ('more for the scene', f'{found["added_megabytes"]:.0f} MiB'),
    ]
    width = max(len(name) for name, _ in rows)
    print(
        f'{args.config}, torch {torch.__version__}, '
        f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads'
    )
    for name, value in rows:
        print(f'{name:<{width}}  {value}')
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    run_command(main)
