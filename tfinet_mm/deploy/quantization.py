"""Quantise a graph to 8 bits, with ranges measured on real pairs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfinet_mm.deploy.card import INPUTS
from tfinet_mm.deploy.optional import import_exporter

EXACT = ('MatMul', 'Softmax', 'Sigmoid', 'Interpolate')
"""Operations that stay in floating point: means over windows and probabilities, which are few."""


def quantized(model: Any, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Any:
    """Quantise the convolutions of a graph.

    Args:
        model: An ``openvino.Model``.
        pairs: Stored values of both dates, each (1, B, H, W) of the type of the inputs.

    Returns:
        The model of 8 bits.

    Raises:
        MissingExtraError: nncf isn't installed.
    """
    nncf = import_exporter('nncf', 'Quantising to int8')
    nncf.set_log_level(logging.ERROR)
    data = nncf.Dataset(pairs, lambda pair: dict(zip(INPUTS, pair, strict=True)))
    return nncf.quantize(
        model,
        data,
        subset_size=len(pairs),
        preset=nncf.QuantizationPreset.MIXED,
        # Processors without VNNI add products in 16 bits, which weights of 8 bits overflow.
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.quantization.advanced_parameters.OverflowFix.ENABLE
        ),
        ignored_scope=nncf.IgnoredScope(types=list(EXACT), validate=False),
    )
