"""Write an exported network as one ONNX file."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import torch

from tfinet_mm.deploy.card import CARD_KEY, INPUTS, OUTPUTS, ExportCard
from tfinet_mm.deploy.optional import import_exporter
from tfinet_mm.deploy.tracing import quiet
from tfinet_mm.errors import ExportError

LARGEST = 2**31 - 1
"""Greatest number of bytes of one ONNX file."""


def onnx_model(program: torch.export.ExportedProgram) -> Any:
    """Convert a traced graph.

    Args:
        program: As :func:`tfinet_mm.deploy.tracing.trace` returns it.

    Returns:
        An ``onnx.ModelProto`` with the names of inputs and outputs of
        :mod:`tfinet_mm.deploy.card`.

    Raises:
        ExportError: An operation has no counterpart in ONNX.
        MissingExtraError: onnx or onnxscript isn't installed.
    """
    for package in ('onnx', 'onnxscript'):
        import_exporter(package, 'Writing ONNX')
    try:
        with torch.no_grad(), quiet(), contextlib.redirect_stdout(io.StringIO()):
            converted = torch.onnx.export(
                program,
                dynamo=True,
                input_names=list(INPUTS),
                output_names=list(OUTPUTS),
                verbose=False,
            )
    except Exception as error:
        raise ExportError(
            f'the network can not be written as ONNX ({type(error).__name__}: '
            f'{str(error).splitlines()[0] if str(error) else "no reason given"}); use --to pt2'
        ) from error
    assert converted is not None
    return _named_sizes(converted.model_proto)


def write_onnx(model: Any, card: ExportCard, path: Path) -> None:
    """Write a converted graph with its card.

    Args:
        model: As :func:`onnx_model` returns it; it gets the card.
        card: What the file says about itself.
        path: The file.

    Raises:
        ExportError: The network is too large for one file.
    """
    size = model.ByteSize()
    if size > LARGEST:
        raise ExportError(
            f'the network has {size / 1e9:.1f} GB, one ONNX file holds 2.1 GB at most; use --to '
            'openvino'
        )
    import onnx

    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _named_sizes(model: Any) -> Any:
    """Name the open sizes of inputs and outputs batch, height and width."""
    axes = ('batch', None, 'height', 'width')
    for value in (*model.graph.input, *model.graph.output):
        sizes = value.type.tensor_type.shape.dim
        names = axes if len(sizes) == 4 else (axes[0], *axes[2:])
        for size, name in zip(sizes, names, strict=True):
            if name is not None and not size.HasField('dim_value'):
                size.dim_param = name
    model.producer_name = 'tfinet_mm'
    return model
