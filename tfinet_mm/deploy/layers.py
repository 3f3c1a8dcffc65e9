"""Layers whose sizes may stay open in an exported graph, in place of those that need numbers."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar('Network', bound=nn.Module)


class MatrixPool(nn.Module):
    """Adaptive mean of windows, as two products of matrices.

    ONNX has no adaptive pooling, and the exporters replace it for sizes that the output divides.
    The windows are those of :class:`torch.nn.AdaptiveAvgPool2d`.

    Args:
        output_size: Height and width of the output.
    """

    def __init__(self, output_size: tuple[int, int]) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C) and the output size."""
        if self.output_size == (1, 1):
            return x.mean((2, 3), keepdim=True)
        rows, columns = (
            pool_matrix(old, new, x) for old, new in zip(x.shape[2:], self.output_size, strict=True)
        )
        return rows @ x @ columns.mT


def pool_matrix(length: int, bins: int, like: Tensor) -> Tensor:
    """Return the matrix (bins, length) that averages each bin of an axis.

    Example:
        >>> pool_matrix(3, 2, torch.zeros(1)).tolist()
        [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    place = torch.arange(length, device=like.device)
    number = torch.arange(bins, device=like.device)[:, None]
    first = (number * length).div(bins, rounding_mode='floor')
    end = ((number + 1) * length + bins - 1).div(bins, rounding_mode='floor')
    inside = ((place >= first) & (place < end)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def exportable(network: Network) -> Network:
    """Replace layers that exporters can't write for open sizes, in place.

    Args:
        network: Any network, in evaluation mode.

    Returns:
        The network, which computes the same.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(parent, name, MatrixPool(_two(child.output_size)))
    return network


def _two(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
