"""Count the parameters of a network and its operations for a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Part(NamedTuple):
    """A part of a network.

    Attributes:
        name: Name of the part, empty for the whole network.
        parameters: Number of parameters, trainable and frozen.
        flop: Floating point operations, two for each multiply-add.
    """

    name: str
    parameters: int
    flop: int


def count_flop(function: Callable[[], Any]) -> int:
    """Count the floating point operations of a call, two for each multiply-add.

    torch counts convolutions, matrix products and attention, forward and
    backward; additions, norms and resizing, a few percent, are left out.

    Args:
        function: Function to call, once.

    Returns:
        The number of operations.

    Example:
        >>> import torch
        >>> convolution = torch.nn.Conv2d(2, 3, 3, padding=1)
        >>> count_flop(lambda: convolution(torch.zeros(1, 2, 4, 5))) == 2 * (2 * 3 * 9) * 4 * 5
        True
    """
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def count_parts(model: nn.Module, inputs: torch.Tensor) -> list[Part]:
    """Count parameters and operations of a network and of each of its direct children.

    Args:
        model: The network, called with ``mode='tensor'`` as MMEngine does.
        inputs: Normalised pairs, (N, 2B, H, W); the operations are those of
            the whole batch.

    Returns:
        The whole network first, then its children that have parameters. A list of
        modules, such as the members of an ensemble, has one part for each module.
    """
    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs, mode='tensor')
    model.train(training)
    by_module = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    children = [('', model), *_children(model)]
    return [
        Part(
            name,
            sum(parameter.numel() for parameter in child.parameters()),
            by_module.get(f'{type(model).__name__}.{name}', 0)
            if name
            else counter.get_total_flops(),
        )
        for name, child in children
        if any(True for _ in child.parameters())
    ]


def _children(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList):
            # The list itself is never called, so it has no operations.
            yield from ((f'{name}.{index}', one) for index, one in enumerate(child))
        else:
            yield name, child
