"""Return layers of a graph in 8 bits to float32 until its maps agree with those of float32."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfinet_mm.deploy.backends import openvino_core
from tfinet_mm.deploy.card import INPUTS, OUTPUTS
from tfinet_mm.errors import ExportError

MAPS = ('change', 'land_cover_from', 'land_cover_to')
"""Outputs whose labels are compared."""
PROBABILITIES = ('prob_from', 'prob_to', 'change_prob')
"""Outputs by which blocks are ranked, since they differ more smoothly than labels."""
CONVOLUTIONS = ('Convolution', 'GroupConvolution')
BLOCKS = 12
"""Parts of a network, of equally many layers each, that are returned to float32 as a whole.

Neighbours stay together, since each passage between 8 bits and float32 takes time.
"""
RANKED_ON = 8
"""Greatest number of pairs on which blocks are ranked; the agreement is measured on all."""

Pair = tuple[np.ndarray, np.ndarray]
Outputs = dict[str, np.ndarray]


class Agreement(NamedTuple):
    """Percent of pixels that have the label of float32, for each of :data:`MAPS`."""

    change: float
    land_cover_from: float
    land_cover_to: float


class Mixed(NamedTuple):
    """Graph in 8 bits, with some layers in float32.

    Attributes:
        model: The ``openvino.Model``.
        agreement: Measured on the pairs that were given.
        layers: Number of convolutions.
        float_layers: Number of those in float32.
    """

    model: Any
    agreement: Agreement
    layers: int
    float_layers: int


def with_agreement(
    small: Any, original: Any, pairs: Sequence[Pair], least: float, blocks: int = BLOCKS
) -> Mixed:
    """Return the layers that cost most agreement to float32, until the least map has enough.

    Each block is returned alone, and scored by how much closer to float32's the probabilities
    come for each product that it computes. Blocks are then returned together, the best first.

    Args:
        small: The graph in 8 bits.
        original: The graph that it was made of, whose nodes have the same names.
        pairs: Stored values of both dates, each (1, B, H, W) of the type of the inputs.
        least: Percent of the pixels that each map has to agree on.
        blocks: Number of blocks, see :data:`BLOCKS`.

    Raises:
        ExportError: Every layer would have to compute in float32.
    """
    right = list(_outputs(original, pairs))
    plain = _agreement(_outputs(small, pairs), right)
    layers = convolutions(small)
    if min(plain) >= least:
        return Mixed(small, plain, len(layers), 0)
    returned: set[str] = set()
    for block in _ranked(small, original, pairs, right, blocks)[:-1]:
        returned |= block
        model = restored(small, original, returned)
        found = _agreement(_outputs(model, pairs), right)
        if min(found) >= least:
            return Mixed(model, found, len(layers), sum(name in returned for name in layers))
    raise ExportError(
        f'in 8 bits only {min(plain):.1f} % of the pixels keep their labels, and the wanted '
        f'{least:g} % need almost every layer in float32; lower --agreement, calibrate on other '
        'pairs, or export with --precision fp32'
    )


def convolutions(model: Any) -> list[str]:
    """Return the names of all convolutions, in the order of computing."""
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in CONVOLUTIONS
    ]


def split(model: Any, blocks: int) -> list[set[str]]:
    """Return the names of all nodes in blocks of equally many convolutions.

    Args:
        model: The graph.
        blocks: Their number; fewer where the graph has fewer convolutions.
    """
    names = [node.get_friendly_name() for node in model.get_ordered_ops()]
    places = {name: place for place, name in enumerate(names)}
    starts = [places[name] for name in convolutions(model)]
    blocks = min(blocks, len(starts))
    cuts = [starts[len(starts) * number // blocks] for number in range(1, blocks)]
    return [
        set(names[first:last]) for first, last in zip([0, *cuts], [*cuts, len(names)], strict=True)
    ]


def restored(small: Any, original: Any, names: set[str]) -> Any:
    """Return a copy of a graph in 8 bits in which some nodes compute in float32.

    Args:
        small: The graph in 8 bits.
        original: The graph that it was made of.
        names: Names of the nodes. Their inputs aren't rounded any more, and their weights are
            those of the original.
    """
    constant = importlib.import_module('openvino').opset13.constant
    model, known = small.clone(), {node.get_friendly_name(): node for node in original.get_ops()}
    for node in model.get_ordered_ops():
        own = known.get(node.get_friendly_name())
        if own is None or node.get_friendly_name() not in names:
            continue
        for number, value in enumerate(node.inputs()):
            source = value.get_source_output().get_node()
            before = own.input(number).get_source_output().get_node()
            if before.get_type_name() == 'Constant':
                # Weights are rounded, and biases were moved to make up for the rounding.
                kept = source.get_type_name() == 'Constant'
                if not kept or not np.array_equal(source.data, before.data):
                    value.replace_source_output(constant(before.data.copy()).output(0))
            elif source.get_type_name() == 'FakeQuantize':
                value.replace_source_output(source.input_value(0))
    model.validate_nodes_and_infer_types()
    return model


def products(model: Any, pair: Pair) -> dict[str, int]:
    """Return the number of multiplications of each convolution for a pair.

    Args:
        model: The graph.
        pair: Both images, (1, B, H, W) each.
    """
    still = model.clone()
    still.reshape({name: list(image.shape) for name, image in zip(INPUTS, pair, strict=True)})
    counts = {}
    for node in still.get_ordered_ops():
        if node.get_type_name() in CONVOLUTIONS:
            made, weights = (
                part.get_partial_shape().get_min_shape() for part in (node.output(0), node.input(1))
            )
            counts[node.get_friendly_name()] = math.prod(made) * math.prod(weights) // made[1]
    return counts


def _ranked(
    small: Any, original: Any, pairs: Sequence[Pair], right: Sequence[Outputs], blocks: int
) -> list[set[str]]:
    """Return the blocks, the one first whose return gains most for its cost."""
    chosen = np.linspace(0, len(pairs) - 1, min(RANKED_ON, len(pairs))).round().astype(int)
    some, right_of_some = [pairs[index] for index in chosen], [right[index] for index in chosen]
    plain = _distance(_outputs(small, some), right_of_some)
    costs = products(original, pairs[0])

    def gain(block: set[str]) -> float:
        found = _outputs(restored(small, original, block), some)
        cost = sum(costs[name] for name in block & costs.keys())
        return (plain - _distance(found, right_of_some)) / max(cost, 1)

    return sorted(split(small, blocks), key=gain, reverse=True)


def _agreement(made: Iterable[Outputs], right: Sequence[Outputs]) -> Agreement:
    equal, pixels = np.zeros(len(MAPS)), 0
    for found, expected in zip(made, right, strict=True):
        equal += [(found[name] == expected[name]).sum() for name in MAPS]
        pixels += expected[MAPS[0]].size
    return Agreement(*(100 * equal / pixels).tolist())


def _distance(made: Iterable[Outputs], right: Sequence[Outputs]) -> float:
    """Return the mean absolute difference of probabilities, summed over the three maps."""
    return sum(
        float(np.abs(found[name] - expected[name]).mean())
        for found, expected in zip(made, right, strict=True)
        for name in PROBABILITIES
    ) / len(right)


def _outputs(model: Any, pairs: Sequence[Pair]) -> Iterator[Outputs]:
    # Processors with bfloat16 would otherwise compute in it, which changes labels too.
    compiled = openvino_core().compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    request = compiled.create_infer_request()
    for pair in pairs:
        made = request.infer(dict(zip(INPUTS, pair, strict=True)))
        yield {
            name: made[place].copy()
            for place, name in enumerate(OUTPUTS)
            if name in (*MAPS, *PROBABILITIES)
        }
