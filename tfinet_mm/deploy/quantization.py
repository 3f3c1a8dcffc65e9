"""Quantise a graph to 8 bits, with ranges and agreement measured on pairs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfinet_mm.deploy.card import INPUTS
from tfinet_mm.deploy.float_layers import Mixed, with_agreement
from tfinet_mm.deploy.optional import import_exporter
from tfinet_mm.errors import ExportError

EXACT = ('MatMul', 'Softmax', 'Sigmoid', 'Interpolate')
"""Operations that stay in floating point: means over windows and probabilities, which are few."""


AGREEMENT = 99.0
"""Percent of the pixels of each map that keep the label of float32, by default."""


def quantized(
    model: Any, pairs: Sequence[tuple[np.ndarray, np.ndarray]], agreement: float = AGREEMENT
) -> Mixed:
    """Quantise the convolutions of a graph, but for those that would change too many labels.

    Args:
        model: An ``openvino.Model``.
        pairs: Stored values of both dates, each (1, B, H, W) of the type of the inputs. Ranges
            and agreement are measured on them.
        agreement: Percent of the pixels of each map that have to keep the label of float32; 0
            quantises every convolution.

    Raises:
        ExportError: ``agreement`` isn't between 0 and 100, or is only reached in float32.
        MissingExtraError: nncf isn't installed.
    """
    if not 0 <= agreement <= 100:
        raise ExportError(f'agreement is a percentage from 0 to 100, got {agreement:g}')
    nncf = import_exporter('nncf', 'Quantising to int8')
    nncf.set_log_level(logging.ERROR)
    data = nncf.Dataset(pairs, lambda pair: dict(zip(INPUTS, pair, strict=True)))
    small = nncf.quantize(
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
    return with_agreement(small, model, pairs, agreement)
