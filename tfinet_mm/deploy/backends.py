"""Run exported files with ONNX Runtime, OpenVINO or torch, each behind the same few functions."""

from __future__ import annotations

import functools
import importlib
import os
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfinet_mm.deploy.card import INPUTS, OUTPUTS
from tfinet_mm.errors import ExportedFileError, ImageFormatError, MissingExtraError
from tfinet_mm.utils.processor import UNITS, features, limit

BACKENDS = ('openvino', 'onnxruntime', 'torch')
"""Programs that run exported networks, the first of them that reads a file by default."""
READ_BY = {
    '.onnx': ('openvino', 'onnxruntime'),
    '.xml': ('openvino',),
    '.pt2': ('torch',),
}
"""Programs that read a kind of file."""
EXTRAS = dict(openvino='openvino', onnxruntime='runtime', torch='mm')
PACKAGES = dict(openvino='OpenVINO', onnxruntime='ONNX Runtime', torch='torch')
BRAIN_FLOAT = 'bfloat16'


class Backend(Protocol):
    """A file that a program has loaded.

    Attributes:
        name: Name of the program, one of :data:`BACKENDS`.
        precision: ``'float32'`` or ``'bfloat16'``, the type that it computes in where the file
            holds float32.
        batch: Number of pairs that go through the network together, None for any.
        version: Version of the program.
    """

    name: str
    precision: str
    batch: int | None
    version: str

    def run(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Compute outputs by their names."""
        ...


def choose_backend(path: Path, wanted: str) -> str:
    """Return the program to run a file with.

    Args:
        path: The file, of one of the suffixes of :data:`READ_BY`.
        wanted: ``'auto'`` for the first that is installed, or one of :data:`BACKENDS`.

    Raises:
        ValueError: There is no such program, or it doesn't read the file.
        MissingExtraError: It isn't installed; the message names the extra.
    """
    able = READ_BY[path.suffix.lower()]
    if wanted != 'auto' and wanted not in BACKENDS:
        raise ValueError(
            f'the backend must be auto or one of {", ".join(BACKENDS)}, got {wanted!r}'
        )
    if wanted != 'auto' and wanted not in able:
        raise ValueError(
            f'{PACKAGES[wanted]} does not read {path}; use backend={able[0]!r}, or export the '
            'network to another format'
        )
    candidates = able if wanted == 'auto' else (wanted,)
    installed = [one for one in candidates if find_spec(one) is not None]
    if not installed:
        needed = ' or '.join(PACKAGES[one] for one in candidates)
        extras = ' or '.join(f'pip install "tfinet-mm[{EXTRAS[one]}]"' for one in candidates)
        raise MissingExtraError(f'{path} needs {needed}, which is not installed: {extras}')
    return installed[0]


def load(path: Path, backend: str, precision: str | None, threads: int | None) -> Backend:
    """Load a file.

    Args:
        path: The file.
        backend: One of :data:`BACKENDS`.
        precision: Type to compute in: ``'float32'``, ``'bfloat16'``, or ``'auto'`` for the
            faster one of the processor.
        threads: Number of threads; None for that of ``OMP_NUM_THREADS``, or else all cores.

    Raises:
        ExportedFileError: The program can't read it.
        ValueError: The program can't compute in the type.
    """
    if threads is None and os.environ.get('OMP_NUM_THREADS', '').isdigit():
        threads = int(os.environ['OMP_NUM_THREADS'])
    kinds: dict[str, Any] = dict(openvino=_OpenVINO, onnxruntime=_OnnxRuntime, torch=_Torch)
    loaded: Backend = kinds[backend](path, precision, threads)
    return loaded


def _unreadable(path: Path, backend: str, error: Exception) -> ExportedFileError:
    reason = str(error).strip().splitlines()
    return ExportedFileError(
        f'{PACKAGES[backend]} can not read {path} ({reason[-1] if reason else error!r}); copy it '
        'again, or export it again'
    )


def _check_names(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Refuse a graph that isn't the one that the card describes.

    Raises:
        ExportedFileError: It lacks an input or output.
    """
    kinds = (('input', INPUTS, inputs), ('output', OUTPUTS, outputs))
    for kind, wanted, found in kinds:
        if lost := [name for name in wanted if name not in found]:
            raise ExportedFileError(
                f'{path} holds a network without the {kind} {lost[0]!r}, only '
                f'{", ".join(sorted(found))}; export it again with tools/export.py'
            )


def _only_float32(precision: str | None, backend: str) -> str:
    if precision not in (None, 'auto', 'float32'):
        raise ValueError(
            f'{PACKAGES[backend]} computes an exported file in its own type here, got '
            f"amp={precision!r}; leave it out, or use backend='openvino', which has bfloat16"
        )
    return 'float32'


class _OnnxRuntime:
    """A file in ONNX Runtime."""

    name = 'onnxruntime'

    def __init__(self, path: Path, precision: str | None, threads: int | None) -> None:
        self.precision = _only_float32(precision, self.name)
        runtime: Any = importlib.import_module('onnxruntime')
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = runtime.InferenceSession(
                os.fspath(path), options, providers=['CPUExecutionProvider']
            )
        except Exception as error:
            raise _unreadable(path, self.name, error) from error
        _check_names(
            path,
            [one.name for one in self._session.get_inputs()],
            [one.name for one in self._session.get_outputs()],
        )
        self.version = str(runtime.__version__)
        first = self._session.get_inputs()[0].shape[0]
        self.batch = first if isinstance(first, int) else None

    def run(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Compute outputs by their names."""
        return dict(zip(outputs, self._session.run(list(outputs), dict(inputs)), strict=True))


@functools.cache
def openvino_core() -> Any:
    """Return OpenVINO's object that compiles networks, one for the process and never freed.

    Each one gives the thread a stack for signals, and takes it back to the stack before when it
    is freed (OpenVINO 2026.4, on processors with AMX). If an earlier one was freed first, that
    stack is gone, and the next signal, such as that of a data loader's worker, ends the process.
    """
    openvino: Any = importlib.import_module('openvino')
    return openvino.Core()


class _OpenVINO:
    """A file in OpenVINO."""

    name = 'openvino'

    def __init__(self, path: Path, precision: str | None, threads: int | None) -> None:
        openvino: Any = importlib.import_module('openvino')
        self._core = openvino_core()
        able = openvino_has_bfloat16()
        if precision not in (None, 'auto', 'float32', BRAIN_FLOAT):
            raise ValueError(
                f'OpenVINO computes in float32 or bfloat16 on CPUs, got amp={precision!r}; export '
                'the network in another precision'
            )
        if precision == BRAIN_FLOAT and not able:
            raise ValueError(
                f"this processor has no units for bfloat16, got amp='{BRAIN_FLOAT}'; take "
                "'float32', or 'auto', which chooses by the units"
            )
        low = precision == BRAIN_FLOAT or (precision == 'auto' and able)
        self.precision = BRAIN_FLOAT if low else 'float32'
        self._options: dict[str, Any] = {
            # OpenVINO chooses bfloat16 by itself where the processor has it.
            'INFERENCE_PRECISION_HINT': 'bf16' if low else 'f32',
            'PERFORMANCE_HINT': 'LATENCY',
        }
        if threads is not None:
            self._options['INFERENCE_NUM_THREADS'] = threads
        try:
            self._model = self._core.read_model(os.fspath(path))
        except Exception as error:
            raise _unreadable(path, self.name, error) from error
        _check_names(
            path,
            [name for port in self._model.inputs for name in port.names],
            [name for port in self._model.outputs for name in port.names],
        )
        self.version = str(openvino.__version__).partition('-')[0]
        first = self._model.input(INPUTS[0]).partial_shape[0]
        self.batch = first.get_length() if first.is_static else None
        self._first: tuple[int, ...] | None = None
        self._requests: dict[bool, Any] = {}
        self._lock = threading.Lock()

    def run(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Compute outputs by their names."""
        shape = inputs[INPUTS[0]].shape
        with self._lock:
            request = self._request(shape)
            request.infer(dict(inputs), share_inputs=True)
            # Copied, since the next pair is written to the same memory.
            return {name: request.get_tensor(name).data.copy() for name in outputs}

    def _request(self, shape: tuple[int, ...]) -> Any:
        """Return what computes inputs of a shape.

        The network is compiled for the first shape alone, since that computes faster, by a
        twentieth in float32 and a quarter in bfloat16. It is compiled once more for all others:
        for each of them it would take longer than the prediction of a picture.
        """
        if self._first is None:
            self._first = shape
        fixed = shape == self._first
        if fixed not in self._requests:
            model = self._model
            if fixed and model.is_dynamic():
                model = model.clone()
                model.reshape({name: list(shape) for name in INPUTS})
            compiled = self._core.compile_model(model, 'CPU', self._options)
            self._requests[fixed] = compiled.create_infer_request()
        return self._requests[fixed]


def openvino_has_bfloat16() -> bool:
    """Return whether OpenVINO computes faster in bfloat16 than in float32 on this processor."""
    return _has_bfloat16(openvino_core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))


def _has_bfloat16(capabilities: Sequence[str]) -> bool:
    """Return whether bfloat16 is faster than float32.

    OpenVINO also lists it for processors that only convert it, and doesn't heed all limits.
    """
    if 'BF16' not in capabilities or limit() is not None:
        return False
    found = features()
    # Other systems than Linux tell no features, and ARM's unit has another name.
    return not found or not found.isdisjoint((*UNITS, 'bf16'))


class _Torch:
    """An archive of torch.export."""

    name = 'torch'

    def __init__(self, path: Path, precision: str | None, threads: int | None) -> None:
        self.precision = _only_float32(precision, self.name)
        torch: Any = importlib.import_module('torch')
        try:
            self._program = torch.export.load(os.fspath(path)).module()
        except Exception as error:
            raise _unreadable(path, self.name, error) from error
        self._torch, self._path = torch, path
        self.version = str(torch.__version__)
        self.batch = None

    def run(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Compute outputs by their names."""
        given = [self._torch.from_numpy(inputs[name]) for name in INPUTS]
        try:
            with self._torch.no_grad():
                made = self._program(*given)
        except (AssertionError, RuntimeError) as error:
            # torch.export leaves out sizes for which it would have to trace the network again.
            if isinstance(error, RuntimeError) and 'assertion failed' not in str(error):
                raise
            raise ImageFormatError(
                f'{self._path} does not take images of {tuple(given[0].shape[2:])} (height, width) '
                f'({error}); give larger ones, or export the network as ONNX'
            ) from error
        found = made if isinstance(made, Mapping) else dict(zip(OUTPUTS, made, strict=True))
        return {name: found[name].numpy() for name in outputs}
