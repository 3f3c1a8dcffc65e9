"""Measure the networks of this repository on the machine's GPU: pairs a second, waits, limits.

    python projects/speed/gpu.py [--out results.json] [--seconds 330]

Random pairs and weights, the batch on the device. The compiler's results are made first, for all
networks at once; rows for which no time is left are left out and named.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper

from tfinet_mm.analysis.benchmark import build_model, synthetic_batch
from tfinet_mm.analysis.complexity import count_flop
from tfinet_mm.engine.fused import with_fused
from tfinet_mm.models.detectors.compiled import REPEATS, set_compile
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.utils.files import write_whole

ROOT = Path(__file__).parents[2]
NETWORKS = {
    'TFINet-R18, published layers': 'configs/published/tfinet_r18.py',
    'pyramid on Lite0': 'configs/tfinet_lite0_fpn.py',
    'SCD-UPerNet-R18': 'configs/baselines/scd_upernet_r18.py',
    'PSPNet-HRNet-W18 light': 'configs/senseearth/pspnet_hrnet18_lightweight.py',
    'TFINet-HRNet-W18': 'configs/tfinet_hrnet18.py',
}
WAITS = ('cudaStreamSynchronize', 'cudaDeviceSynchronize', 'cudaEventSynchronize', 'cudaMemcpy')
"""Calls of CUDA, without arguments of their own, in which the CPU waits for the GPU."""
SECONDS_A_ROW = 3.0


class Setting(NamedTuple):
    """A way to run a network.

    Attributes:
        name: Its name in the table.
        train: A step of training, or logits.
        dtype: Type to compute in.
        strict: Without TF32.
        compiled: Compiled, with CUDA graphs.
        channels_last: Memory format; None is the config's.
    """

    name: str
    train: bool = False
    dtype: str = 'float32'
    strict: bool = False
    compiled: bool = False
    channels_last: bool | None = None


SETTINGS = (
    Setting('float32 strict', strict=True),
    Setting('float32 strict, channels first', strict=True, channels_last=False),
    Setting('float32'),
    Setting('bfloat16', dtype='bfloat16'),
    Setting('training', train=True),
    Setting('training bfloat16', train=True, dtype='bfloat16'),
    Setting('bfloat16 compiled', dtype='bfloat16', compiled=True),
    Setting('training compiled', train=True, compiled=True),
    Setting('training bfloat16 compiled', train=True, dtype='bfloat16', compiled=True),
)


@dataclass(frozen=True)
class Row:
    """A measurement.

    Attributes:
        network: Name of the network.
        setting: Name of the setting.
        pairs_per_second: Throughput of steps that aren't waited for one by one.
        limit: Pairs a second at the GPU's measured peak of matrix products in this type.
        cpu_ms: Time until a step has been launched.
        gpu_ms: Time that its kernels take; None on a CPU.
        waits: Times that a step waits for the GPU; None on a CPU.
        gflop: Operations for a pair in 10^9.
    """

    network: str
    setting: str
    pairs_per_second: float
    limit: float
    cpu_ms: float
    gpu_ms: float | None
    waits: float | None
    gflop: float


@contextlib.contextmanager
def tf32(allowed: bool | None) -> Iterator[None]:
    """Allow or forbid TF32 in the block; None leaves torch's defaults."""
    flags: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
    before = [flag.allow_tf32 for flag in flags]
    try:
        for flag in flags if allowed is not None else ():
            flag.allow_tf32 = allowed
        yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            flag.allow_tf32 = value


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def throughput(step: Callable[[], Any], seconds: float | None = None) -> float:
    """Return the seconds that a step takes where steps follow each other."""
    seconds = SECONDS_A_ROW if seconds is None else seconds
    synchronize()
    begin, steps = time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - begin < seconds:
        step()
        steps += 1
        if steps % 10 == 0:
            synchronize()
    synchronize()
    return (time.perf_counter() - begin) / steps


def launch_seconds(step: Callable[[], Any]) -> float:
    """Return the shortest time, of three, until a step has been launched on an idle GPU."""
    times = []
    for _ in range(3):
        synchronize()
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    synchronize()
    return min(times)


def gpu_work(step: Callable[[], Any], steps: int = 3) -> tuple[float, float]:
    """Return the milliseconds of the kernels of a step, and how often it waits for the GPU."""
    from torch.profiler import ProfilerActivity, profile

    synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        for _ in range(steps):
            step()
    events = found.key_averages()
    kernels = sum(one.self_device_time_total for one in events)
    waits = sum(one.count for one in events if one.key in WAITS)
    # Stopping the profiler waits once.
    return kernels / 1000 / steps, max(waits - 1, 0) / steps


def peak_tflops(dtype: torch.dtype, side: int = 8192) -> float:
    """Return the rate of a matrix product of this type in 10^12 operations a second."""
    device = get_device()
    one = torch.randn(side, side, device=device, dtype=dtype)
    one @ one
    return 2 * side**3 / throughput(lambda: one @ one, 0.3) / 1e12


def on_device(data: dict[str, Any], device: str) -> dict[str, Any]:
    """Return a batch on a device."""
    return dict(
        inputs=[one.to(device) for one in data['inputs']],
        data_samples=[one.to(device) for one in data['data_samples']],
    )


def make_step(
    cfg: Config, setting: Setting, batch_size: int, size: int
) -> tuple[Callable[[], Any], float]:
    """Return a function that runs a step, ready to be timed, and the GFLOP for a pair."""
    model = build_model(cfg, setting.dtype, setting.channels_last)
    if setting.compiled:
        set_compile(model, 'on')
    device = next(model.parameters()).device
    data = on_device(synthetic_batch(batch_size, (size, size), 3, model.num_classes), str(device))
    inputs = model.data_preprocessor(dict(data), False)['inputs']

    def predict() -> None:
        with torch.no_grad():
            model(inputs, mode='tensor')

    model.eval()
    # A backward pass takes twice as many; torch miscounts that of depthwise convolutions.
    gflop = (3 if setting.train else 1) * count_flop(predict) / batch_size / 1e9
    step = predict
    if setting.train:
        model.train()
        wrapper = build_optim_wrapper(model, with_fused(cfg.optim_wrapper, device))

        def step() -> None:
            model.train_step(dict(data), wrapper)

    for _ in range(REPEATS + 1):
        step()
    return step, gflop


def measure(
    name: str, setting: Setting, peaks: dict[str, float], batch_size: int, size: int
) -> Row:
    """Measure a network in one setting."""
    with tf32(False if setting.strict else None):
        step, gflop = make_step(load_config(ROOT / NETWORKS[name]), setting, batch_size, size)
        each = throughput(step)
        gpu_ms, waits = gpu_work(step) if torch.cuda.is_available() else (None, None)
        cpu_ms = 1000 * launch_seconds(step)
    peak = peaks['strict' if setting.strict else setting.dtype]
    rate = batch_size / each
    return Row(name, setting.name, rate, 1000 * peak / gflop, cpu_ms, gpu_ms, waits, gflop)


def measured_peaks(side: int) -> dict[str, float]:
    """Return the peaks by type; those of float32 with TF32 and ``'strict'`` without."""
    with tf32(False):
        peaks = dict(strict=peak_tflops(torch.float32, side))
    with tf32(True):
        peaks['float32'] = peak_tflops(torch.float32, side)
    return peaks | dict(bfloat16=peak_tflops(torch.bfloat16, side))


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        '| network | setting | pairs/s | limit | of it | CPU ms | GPU ms | waits |',
        '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |',
    ]
    for row in rows:
        gpu = '-' if row.gpu_ms is None else f'{row.gpu_ms:.1f}'
        waits = '-' if row.waits is None else f'{row.waits:.1f}'
        lines.append(
            f'| {row.network} | {row.setting} | {row.pairs_per_second:.4g} | {row.limit:.4g} | '
            f'{row.pairs_per_second / row.limit:.0%} | {row.cpu_ms:.1f} | {gpu} | {waits} |'
        )
    return '\n'.join(lines)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Pairs a second of the networks on a GPU')
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument(
        '--settings',
        nargs='+',
        choices=[one.name for one in SETTINGS],
        default=[one.name for one in SETTINGS],
    )
    parser.add_argument('--batch-size', type=int, default=8, help='pairs a step (default: 8)')
    parser.add_argument('--size', type=int, default=512, help='side in pixels (default: 512)')
    parser.add_argument(
        '--peak-side', type=int, default=8192, help='side of the matrices that measure the peak'
    )
    parser.add_argument(
        '--seconds', type=float, default=330, help='begin no row after this time (default: 330)'
    )
    parser.add_argument('--out', help='JSON file of the rows')
    parser.add_argument('--only-compile', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def compile_ahead(args: argparse.Namespace, begin: float) -> None:
    """Fill the compiler's cache in a process for each network, for half of the time at most."""
    compiled = [one.name for one in SETTINGS if one.compiled and one.name in args.settings]
    if not compiled or len(args.networks) < 2:
        return
    options = ['--batch-size', str(args.batch_size), '--size', str(args.size), '--only-compile']
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, '--networks', name, '--settings', *compiled, *options],
            stdout=subprocess.DEVNULL,
        )
        for name in args.networks
    ]
    for process in processes:
        left = args.seconds / 2 - (time.perf_counter() - begin)
        try:
            process.wait(max(left, 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(arguments)
    begin = time.perf_counter()
    settings = [one for one in SETTINGS if one.name in args.settings]
    if args.only_compile:
        for setting in settings:
            for name in args.networks:
                make_step(load_config(ROOT / NETWORKS[name]), setting, args.batch_size, args.size)
        return
    compile_ahead(args, begin)
    peaks = measured_peaks(args.peak_side)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
    shown = ', '.join(f'{name} {value:.4g}' for name, value in peaks.items())
    print(
        f'{device}, torch {torch.__version__}, {args.batch_size} pairs of {args.size} x '
        f'{args.size} a step; peak TFLOP/s of matrix products: {shown}\n'
    )
    rows: list[Row] = []
    left_out = []
    for setting in settings:
        for name in args.networks:
            if time.perf_counter() - begin > args.seconds:
                left_out.append(f'{name}, {setting.name}')
                continue
            rows.append(measure(name, setting, peaks, args.batch_size, args.size))
    print(table(rows))
    if left_out:
        print(f'\nNo time was left for: {"; ".join(left_out)}')
    if args.out:
        found: dict[str, Any] = dict(device=device, torch=str(torch.__version__), peaks=peaks)
        found['rows'] = [asdict(row) for row in rows]
        write_whole(args.out, json.dumps(found, indent=1).encode())


if __name__ == '__main__':
    main()
