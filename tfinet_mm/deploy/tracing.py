"""Trace a graph for any number and size of pairs, or for one size."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.utils import resize as mmseg_resize
from torch import Tensor

from tfinet_mm.deploy.graph import ExportGraph
from tfinet_mm.errors import ExportError

TYPES = {'uint8': torch.uint8, 'uint16': torch.uint16, 'float32': torch.float32}
"""Types of the inputs, by the name that the card has."""
EXAMPLE = (70, 100)
"""Height and width of the example of a graph of open size."""


def trace(
    graph: ExportGraph, bands: int, input_type: str = 'uint8'
) -> torch.export.ExportedProgram:
    """Trace a graph into torch's exported form.

    Args:
        graph: The network.
        bands: Bands B of each date.
        input_type: Type of the inputs, a key of :data:`TYPES`.

    Returns:
        The program; the number of pairs is open, and so are height and width unless the graph has
        a fixed size.

    Raises:
        ExportError: A part of the network can't be traced; the message has torch's reason.
    """
    open_sizes: dict[int, Any] = {0: torch.export.Dim('batch', min=1)}
    height, width = graph.size or EXAMPLE
    if graph.size is None:
        for axis, name in ((2, 'height'), (3, 'width')):
            open_sizes[axis] = torch.export.Dim(name, min=graph.least_side)
    # Two tensors: of a single one, both inputs would become one.
    example = [torch.zeros(2, bands, height, width, dtype=TYPES[input_type]) for _ in range(2)]
    try:
        with torch.no_grad(), plain_resize(), quiet():
            return torch.export.export(
                graph, tuple(example), dynamic_shapes=(open_sizes, dict(open_sizes)), strict=False
            )
    except Exception as error:
        advice = 'give --size HEIGHT WIDTH' if graph.size is None else 'test it with torch'
        raise ExportError(
            f'the network can not be traced ({type(error).__name__}: '
            f'{str(error).splitlines()[0] if str(error) else "no reason given"}); {advice}'
        ) from error


@contextlib.contextmanager
def plain_resize() -> Iterator[None]:
    """Let mmseg resize without its advice on sizes, which turns open sizes into numbers."""

    def plain(
        input: Tensor,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = 'nearest',
        align_corners: bool | None = None,
        warning: bool = True,
    ) -> Tensor:
        return F.interpolate(input, size, scale_factor, mode, align_corners)

    users = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith('mmseg.') and getattr(module, 'resize', None) is mmseg_resize
    ]
    for module in users:
        module.resize = plain  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in users:
            module.resize = mmseg_resize  # type: ignore[attr-defined]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' remarks on their own future off the terminal."""
    loggers = [logging.getLogger(name) for name in ('torch.onnx', 'onnxscript', 'torch.export')]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
