"""Time one network in torch, ONNX Runtime and OpenVINO, and compare the maps."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tfinet_mm.analysis.timing import timed
from tfinet_mm.deploy.backends import openvino_core, openvino_has_bfloat16
from tfinet_mm.deploy.card import INPUTS
from tfinet_mm.deploy.graph import ExportGraph
from tfinet_mm.deploy.onnx_file import onnx_model
from tfinet_mm.deploy.openvino_file import openvino_model
from tfinet_mm.deploy.optional import import_exporter
from tfinet_mm.deploy.quantization import AGREEMENT, quantized
from tfinet_mm.deploy.tracing import trace

REFERENCE = 'torch float32'
BACKENDS = (
    REFERENCE,
    'torch bfloat16',
    'ONNX Runtime float32',
    'OpenVINO float32',
    'OpenVINO bfloat16',
    'OpenVINO int8',
)
"""Names of what is measured, in the order of the columns."""

Maps = tuple[np.ndarray, np.ndarray, np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]


class BackendTime(NamedTuple):
    """Time of a backend.

    Attributes:
        name: One of :data:`BACKENDS`.
        seconds: Median time of a pair.
        agreement: Share of the pixels at which change and both land covers are those of
            :data:`REFERENCE`.
    """

    name: str
    seconds: float
    agreement: float


def measure_backends(
    model: Any,
    pair: Pair,
    calibration: Sequence[Pair],
    repeats: int = 5,
    threads: int | None = None,
    agreement: float = AGREEMENT,
) -> Iterator[BackendTime]:
    """Time a network on one pair, as a file of that fixed size and as it is.

    Args:
        model: A detector in evaluation mode on the CPU.
        pair: Both images, uint8 (1, B, H, W) each.
        calibration: Pairs of the same shape, on which the ranges of int8 are measured.
        repeats: Timed calls; their median counts.
        threads: Threads of each backend; by default torch's number.
        agreement: See :func:`~tfinet_mm.deploy.quantization.quantized`.

    Yields:
        One for each of :data:`BACKENDS`.

    Raises:
        ExportError: The network can't be exported.
        MissingExtraError: A package of the extras ``export`` and ``int8`` isn't installed.
    """
    threads = threads or torch.get_num_threads()
    height, width = pair[0].shape[2:]
    threshold = float(model.test_cfg['threshold'])
    graph = onnx_model(trace(ExportGraph(model, threshold, size=(height, width)), pair[0].shape[1]))
    right: Maps | None = None
    for name, function in _backends(model, graph, pair, calibration, threads, agreement):
        seconds = statistics.median(timed(function, repeats=repeats))
        maps = function()
        right = maps if right is None else right
        equal = np.logical_and.reduce([a == b for a, b in zip(maps, right, strict=True)])
        yield BackendTime(name, seconds, float(equal.mean()))


def _backends(
    model: Any,
    graph: Any,
    pair: Pair,
    calibration: Sequence[Pair],
    threads: int,
    agreement: float,
) -> Iterator[tuple[str, Callable[[], Maps]]]:
    for name, dtype in ((REFERENCE, 'float32'), ('torch bfloat16', 'bfloat16')):
        yield name, _torch(model, pair, dtype)
    onnxruntime = import_exporter('onnxruntime', 'Timing ONNX Runtime')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    feed = dict(zip(INPUTS, pair, strict=True))
    yield 'ONNX Runtime float32', lambda: tuple(session.run(None, feed)[3:])
    hints = {'float32': 'f32'} | ({'bfloat16': 'bf16'} if openvino_has_bfloat16() else {})
    for name, hint in hints.items():
        yield f'OpenVINO {name}', _openvino(openvino_model(graph), feed, hint, threads)
    small = quantized(openvino_model(graph), calibration, agreement).model
    yield 'OpenVINO int8', _openvino(small, feed, 'f32', threads)


def _torch(model: Any, pair: Pair, dtype: str) -> Callable[[], Maps]:
    inputs = torch.from_numpy(np.concatenate(pair, axis=1))
    threshold = float(model.test_cfg['threshold'])

    def predict() -> Maps:
        model.autocast = dtype
        with torch.inference_mode():
            data = model.data_preprocessor(dict(inputs=inputs), False)
            made = model.predict_probabilities(data['inputs'])
        labels: list[Tensor] = [made.change[:, 0] >= threshold]
        labels += [part.argmax(1) + 1 for part in made[:2]]
        change, cover_from, cover_to = (label.to(torch.uint8).numpy() for label in labels)
        return change, cover_from, cover_to

    return predict


def _openvino(model: Any, feed: dict[str, Any], hint: str, threads: int) -> Callable[[], Maps]:
    import_exporter('openvino', 'Timing OpenVINO')
    settings = dict(INFERENCE_PRECISION_HINT=hint, INFERENCE_NUM_THREADS=threads)
    request = openvino_core().compile_model(model, 'CPU', settings).create_infer_request()

    def predict() -> Maps:
        made = request.infer(feed)
        change, cover_from, cover_to = (made[index] for index in (3, 4, 5))
        return change, cover_from, cover_to

    return predict


def format_backends(rows: Mapping[str, Sequence[BackendTime]]) -> str:
    """Return the times of several networks as a table in Markdown.

    Args:
        rows: The times by the name of the network.

    Example:
        >>> times = [BackendTime(name, 0.5, 0.999) for name in BACKENDS]
        >>> print(format_backends({'a': times}).splitlines()[2][:40])
        | a | 0.500 s | 0.500 s, 99.90 % | 0.500
    """
    lines = [f'| network | {" | ".join(BACKENDS)} |', f'| --- |{" ---: |" * len(BACKENDS)}']
    for name, times in rows.items():
        # A processor without units for bfloat16 has no time for it in OpenVINO.
        made = {
            one.name: f'{one.seconds:.3f} s'
            + ('' if one.name == REFERENCE else f', {one.agreement:.2%}')
            for one in times
        }
        cells = [made.get(backend, '-') for backend in BACKENDS]
        lines.append(f'| {name} | {" | ".join(cell.replace("%", " %") for cell in cells)} |')
    return os.linesep.join(lines)
