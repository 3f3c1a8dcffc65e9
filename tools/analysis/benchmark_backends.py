"""Print the time of a pair in torch, ONNX Runtime and OpenVINO, and the share of equal labels.

    python tools/analysis/benchmark_backends.py [CONFIG ...] [--size 512] [--threads 1]

Without a CONFIG: TFINet on ResNet-18 and HRNet-W18 with random weights, and the weights of the
package. Pairs are generated. bfloat16 is fast on processors with units for it only.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tfinet_mm.analysis.backends import BACKENDS, format_backends, measure_backends
from tfinet_mm.analysis.benchmark import build_model
from tfinet_mm.apis import SCDInferencer
from tfinet_mm.checkpoints.shipped import DEFAULT, is_shipped
from tfinet_mm.datasets.synthetic.world import WorldConfig, generate_scene
from tfinet_mm.deploy.quantization import AGREEMENT
from tfinet_mm.utils.command import add_traceback_option, run_command
from tfinet_mm.utils.config.loading import load_config

NETWORKS = ('configs/tfinet_r18.py', 'configs/tfinet_hrnet18.py', DEFAULT)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Time of a pair in torch, ONNX Runtime and OpenVINO'
    )
    parser.add_argument(
        'networks',
        nargs='*',
        default=list(NETWORKS),
        metavar='CONFIG',
        help='configs, with random weights, or names of shipped weights',
    )
    parser.add_argument('--size', type=int, default=512, help='side of the pair in pixels')
    parser.add_argument('--threads', type=int, help="threads of each backend (default: torch's)")
    parser.add_argument('--repeats', type=int, default=5, help='timed calls (default: 5)')
    parser.add_argument(
        '--calibration-pairs', type=int, default=8, metavar='N', help='pairs for int8 (default: 8)'
    )
    add_traceback_option(parser)
    args = parser.parse_args(arguments)
    if min(args.size, args.repeats, args.calibration_pairs, args.threads or 1) < 1:
        parser.error('sizes and numbers must be 1 or more')
    return args


def generated_pair(number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return both images of a generated scene, uint8 (1, 3, size, size) each."""
    pair = generate_scene(number, WorldConfig(size=size))
    before, after = (
        np.ascontiguousarray(image.transpose(2, 0, 1)[None]) for image in (pair.before, pair.after)
    )
    return before, after


def network(name: str) -> tuple[str, Any]:
    """Return the name in the table and the network, in evaluation mode."""
    if is_shipped(name):
        return name, SCDInferencer(checkpoint=name, device='cpu', tta=False).model
    torch.manual_seed(0)
    return Path(name).stem, build_model(load_config(name)).cpu().eval()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure."""
    args = parse_args(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    pair, *calibration = (
        generated_pair(number, args.size) for number in range(args.calibration_pairs + 1)
    )
    rows = {}
    for name in args.networks:
        title, model = network(name)
        # Random weights have no labels that are worth keeping.
        agreement = AGREEMENT if is_shipped(name) else 0
        times = measure_backends(model, pair, calibration, args.repeats, args.threads, agreement)
        rows[title] = list(tqdm(times, title, len(BACKENDS), disable=None))
    print(f'One pair of {args.size} x {args.size} pixels, {torch.get_num_threads()} threads\n')
    print(format_backends(rows))


if __name__ == '__main__':
    run_command(main)
