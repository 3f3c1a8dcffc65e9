"""Sizes in an exported graph that stay open: padding, scaling and resizing by traced numbers.

While a graph is traced, an open side is a symbol, and what is computed from it has to stay a
number of whole divisors for the tracer to follow it through the strides of a network. So that
number of divisors becomes a symbol of its own, which the graph computes when it runs.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import SymInt, Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true

from tfinet_mm.models.detectors.augmentation import MULTIPLE, scaled_side

LEAST_SCALED = MULTIPLE
"""Least side in pixels of images that are scaled by a graph of open size.

Below it, the smallest scaled image would be several times as large as the image, and resizing it
back would take a number of pixels that has no bound.
"""

Side: TypeAlias = int
"""Pixels: a number, or while a graph of open size is traced a symbol, torch's ``SymInt``."""


def whole_multiple(side: Side, divisor: int) -> Side:
    """Return the least multiple of a divisor that isn't less than a side.

    Args:
        side: Height or width.
        divisor: A whole number above 0.
    """
    if not _is_open(side):
        return -(-side // divisor) * divisor
    if divisor == 1 or statically_known_true(side % divisor == 0):
        return side
    multiple = divisor * _counted(torch.ceil(_number(side) / divisor))
    _assume(multiple >= side)
    return multiple


def scaled(side: Side, scale: float) -> Side:
    """Return a side of a scaled image as torch's views have it.

    See :func:`tfinet_mm.models.detectors.augmentation.scaled_side`.

    Args:
        side: Height or width.
        scale: Factor of it.
    """
    if not _is_open(side):
        return scaled_side(side, scale)
    if scale == 1:
        return side
    # torch rounds halves to even numbers, as Python does.
    return MULTIPLE * _counted(torch.round(_number(side) * scale / MULTIPLE))


def repeat_edge(maps: Tensor, sides: Sequence[Side]) -> Tensor:
    """Repeat the pixels at the bottom and right edge up to a height and width.

    Args:
        maps: (N, C, H, W).
        sides: Height and width, none less than that of the maps.
    """
    for axis, side in enumerate(sides, start=2):
        old = maps.shape[axis]
        if statically_known_true(side == old):
            continue
        places = torch.arange(side, device=maps.device).clamp(max=old - 1)
        maps = maps.index_select(axis, places)
    return maps


def resize(maps: Tensor, sides: Sequence[Side], scale: float) -> Tensor:
    """Resize as :func:`tfinet_mm.models.detectors.augmentation.resize`, by plain operations.

    Runtimes leave out the smoothing of ``antialias=True`` without a word, or lack it.

    Args:
        maps: (N, C, H, W) float32.
        sides: Height and width in pixels.
        scale: Their ratio to those of the maps, but for rounding to multiples of 32. For 1, the
            maps are returned as they are.
    """
    if scale == 1:
        return maps
    old = maps.shape[2:]
    if not any(map(_is_open, (*sides, *old))) and all(map(operator.ge, sides, old)):
        return F.interpolate(maps, tuple(sides), mode='bilinear', align_corners=False)
    for new in sides:
        # Rows are copied as a whole, which is faster than picking from each, so the width is
        # turned to the rows and back.
        maps = _resize_rows(maps, new, scale).mT
    return maps


def _resize_rows(maps: Tensor, height: Side, scale: float) -> Tensor:
    """Resize the rows by the triangle filter, which is no narrower than two pixels of either size.

    Each new row is a weighted sum of as many old rows as the filter may reach.
    """
    old = maps.shape[2]
    ratio = (_number(old) / _number(height)).to(maps.dtype)
    reach = ratio.clamp(min=1)
    centres = (torch.arange(height, device=maps.device).to(maps.dtype) + 0.5) * ratio
    first = torch.floor(centres - reach + 0.5).to(torch.int64)
    places = [first + number for number in range(_rows_reached(old, height, scale))]
    weights = []
    for place in places:
        weight = (1 - (place.to(maps.dtype) + 0.5 - centres).abs() / reach).clamp(min=0)
        weights.append(weight * ((place >= 0) & (place < old)).to(maps.dtype))
    total = torch.stack(weights).sum(0)
    parts = [
        maps.index_select(2, place.clamp(0, old - 1)) * (weight / total)[:, None]
        for place, weight in zip(places, weights, strict=True)
    ]
    result = parts[0]
    for part in parts[1:]:
        result = result + part
    return result


def _rows_reached(old: Side, new: Side, scale: float) -> int:
    """Return how many old rows a new one is made of at most.

    Scaled sides are rounded by half of 32 pixels, and open ones are :data:`LEAST_SCALED` at
    least: so an image becomes smaller by 1.5 times the inverse of its scale at most, and is resized
    back by half more than its scale at most.
    """
    if _is_open(old) or _is_open(new):
        ratio = max(1.5 / scale, 1 / scale + MULTIPLE / 2 / LEAST_SCALED)
    else:
        ratio = old / new
    return math.ceil(2 * max(ratio, 1))


def _number(side: Side) -> Tensor:
    return torch.scalar_tensor(side, dtype=torch.float64)


def _counted(number: Tensor) -> Side:
    """Return a number that a graph computes, 1 at least, as a symbol for sizes."""
    count: Any = number.clamp(min=1).to(torch.int64).item()
    # Not less than 1 is what is meant. But layers with align_corners ask for more than 1 in
    # tracing; an archive of torch.export keeps this as a check, and other formats drop it.
    _assume(count > 1)
    result: Side = count
    return result


def _is_open(side: Side) -> bool:
    return isinstance(side, SymInt)


def _assume(holds: Any) -> None:
    """Let the tracer take for true what it can't work out."""
    torch._check(holds)  # type: ignore[no-untyped-call]
