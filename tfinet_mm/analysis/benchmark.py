"""Measure time and memory of inference and training."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.analysis.complexity import count_flop
from tfinet_mm.analysis.timing import PeakMemory, timed
from tfinet_mm.engine.fused import with_fused
from tfinet_mm.engine.precision import set_autocast, takes_autocast, use_amp
from tfinet_mm.models.detectors.compiled import REPEATS, set_compile
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import GT_CHANGE, GT_FROM, GT_TO
from tfinet_mm.utils.device import resolve_precision


@dataclass(frozen=True)
class Measurement:
    """One row of the table of measurements.

    Attributes:
        mode: Measured task: 'inference', 'train' or 'data'.
        setting: Type of numbers and memory layout, or the way of loading data.
        milliseconds: Median time of a step, in ms.
        pairs_per_second: Pairs in a step divided by that time.
        peak_mib: Peak memory, less the memory in use before the model was built, in
            MiB: of the GPU if there is one, else of the process. None if it wasn't
            measured.
        gflop: Operations for a pair in 10^9, see
            :func:`~tfinet_mm.analysis.complexity.count_flop`. None for data.
    """

    mode: str
    setting: str
    milliseconds: float
    pairs_per_second: float
    peak_mib: float | None = None
    gflop: float | None = None


def synthetic_batch(
    batch_size: int, shape: tuple[int, int], bands: int = 3, num_classes: int = 6, seed: int = 0
) -> dict[str, list[Any]]:
    """Return a batch of random numbers in the form of a train pipeline.

    Args:
        batch_size: Number of pairs N.
        shape: Height and width in pixels.
        bands: Bands B of each date.
        num_classes: Number K of land-cover classes.
        seed: Seed of the random numbers.

    Returns:
        ``inputs``, N uint8 tensors (2B, H, W), and ``data_samples``, N samples
        with labels of land cover 0..K-1 and change 0..1.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int, channels: int = 1) -> torch.Tensor:
        return torch.randint(0, high, (channels, *shape), generator=generator)

    inputs, samples = [], []
    for _ in range(batch_size):
        inputs.append(draw(256, 2 * bands).to(torch.uint8))
        sample = SegDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
        for field, classes in ((GT_CHANGE, 2), (GT_FROM, num_classes), (GT_TO, num_classes)):
            sample.set_data({field: PixelData(data=draw(classes))})
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def build_model(
    cfg: Config, dtype: str = 'float32', channels_last: bool | None = None
) -> BaseModel:
    """Build the model of a config for measuring, with random weights, on the machine's device.

    Args:
        cfg: The config.
        dtype: ``'float32'``, or the type to compute in by the model's autocast:
            ``'auto'``, ``'bfloat16'`` or ``'float16'``.
        channels_last: Memory layout; None leaves it to the config.

    Returns:
        The model, with plain instead of synchronised batch norm.

    Raises:
        ValueError: The type isn't float32, but the model has no autocast.
    """
    cfg = copy.deepcopy(cfg)
    if dtype != 'float32' or cfg.model.get('autocast') is not None:
        set_autocast(cfg, dtype)
    if channels_last is not None:
        cfg.model.channels_last = channels_last
    return revert_sync_batchnorm(MODELS.build(cfg.model)).to(get_device())


def measure_model(
    cfg: Config,
    mode: str,
    dtype: str = 'float32',
    channels_last: bool | None = None,
    shape: tuple[int, int] = (512, 512),
    batch_size: int = 1,
    bands: int = 3,
    repeats: int = 5,
    compile: str = 'off',
) -> Measurement:
    """Measure inference or training of a config's model on random pairs.

    Args:
        cfg: The config.
        mode: ``'inference'`` (preprocessing, network, prediction maps) or
            ``'train'`` (preprocessing, network, losses, backward, optimizer).
        dtype: ``'float32'``, ``'bfloat16'``, ``'float16'``, or ``'auto'`` for the
            fastest type of this machine; training in float16 scales the loss.
        channels_last: Memory layout; None leaves it to the config.
        shape: Height and width in pixels.
        batch_size: Number of pairs in a step.
        bands: Number of bands of each date.
        repeats: Number of timed steps.
        compile: ``'on'`` times the network compiled, ``'off'`` as it is.

    Returns:
        The row of the table.

    Raises:
        ValueError: The mode is unknown, or can't run in this type of numbers.
    """
    if mode not in ('inference', 'train'):
        raise ValueError(f"the mode must be 'inference' or 'train', got {mode!r}")
    dtype = resolve_precision(dtype, get_device())
    casts = mode == 'inference' or takes_autocast(cfg)
    if mode == 'train':
        cfg = copy.deepcopy(cfg)
        use_amp(cfg, dtype, train=True)
    memory = PeakMemory()
    model = build_model(cfg, dtype if casts else 'float32', channels_last)
    if compile == 'on':
        set_compile(model, compile)
    classes = getattr(model, 'num_classes', 2)
    data = synthetic_batch(batch_size, shape, bands, classes)
    if mode == 'train':
        model.train()
        optimizer = build_optim_wrapper(
            model, with_fused(cfg.optim_wrapper, next(model.parameters()).device)
        )

        def step() -> None:
            model.train_step(data, optimizer)
    else:
        model.eval()

        def step() -> None:
            with torch.no_grad():
                model.test_step(data)

    gflop = count_flop(step) / batch_size / 1e9
    warmup = REPEATS if compile == 'on' else 1
    median = statistics.median(timed(step, warmup, repeats))
    layout = getattr(model, 'channels_last', False)
    return Measurement(
        mode,
        f'{dtype}, channels {"last" if layout else "first"}'
        f'{", compiled" if compile == "on" else ""}',
        1000 * median,
        batch_size / median,
        memory.mib(),
        gflop,
    )


def format_measurements(rows: Sequence[Measurement]) -> str:
    """Return the table as Markdown, aligned for a terminal."""
    header = ('mode', 'setting', 'ms a step', 'pairs a second', 'peak MiB', 'GFLOP a pair')
    cells = [
        (
            row.mode,
            row.setting,
            f'{row.milliseconds:.1f}',
            f'{row.pairs_per_second:.2f}',
            '' if row.peak_mib is None else f'{row.peak_mib:.0f}',
            '' if row.gflop is None else f'{row.gflop:.1f}',
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [header, *cells]) for i in range(len(header))]

    def line(values: Sequence[str]) -> str:
        padded = [
            value.ljust(width) if i < 2 else value.rjust(width)
            for i, (value, width) in enumerate(zip(values, widths, strict=True))
        ]
        return f'| {" | ".join(padded)} |'

    rule = ['-' * width if i < 2 else '-' * (width - 1) + ':' for i, width in enumerate(widths)]
    return '\n'.join([line(header), line(rule), *map(line, cells)])
