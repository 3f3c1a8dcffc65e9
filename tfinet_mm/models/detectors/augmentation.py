"""Test-time augmentation by flips, rotations and scales."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from tfinet_mm.structures import SCDProbabilities

TTA_TRANSFORMS = (
    'identity',
    'vertical_flip',
    'horizontal_flip',
    'rotation_90',
    'rotation_270',
    'rotation_180',
)
"""Names of the transforms, six of the square's eight symmetries, in the order in which the
SenseEarth 2020 winner applied them."""
MULTIPLE = 32
"""Sides of scaled images are multiples of this, the largest stride of the usual networks."""
SCALE_LIMITS = (0.1, 8.0)
"""Scales from the first to the second are taken; beyond, little or too much is left to predict."""


class ProbabilityModel(Protocol):
    """Model that predicts probabilities of a batch of pairs: a detector or an ensemble."""

    def predict_probabilities(self, inputs: Tensor) -> SCDProbabilities:
        """Return probabilities of all three maps for pairs (N, 2B, H, W), at their size.

        The pairs are as the model's own data preprocessor gives them.
        """


def check_transforms(transforms: Sequence[str]) -> tuple[str, ...]:
    """Check the names of transforms.

    Raises:
        ValueError: There are none, one is unknown, or one comes twice.
    """
    unknown = [name for name in transforms if name not in TTA_TRANSFORMS]
    if isinstance(transforms, str) or unknown or not transforms:
        raise ValueError(f'transforms must be a list out of {TTA_TRANSFORMS}, got {transforms!r}')
    if len(set(transforms)) != len(transforms):
        raise ValueError(f'name every transform once, got {tuple(transforms)}')
    return tuple(transforms)


def check_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """Check the scales that pairs are predicted at.

    Raises:
        ValueError: There are none, one is no number from 0.1 to 8, or one comes twice.
    """
    low, high = SCALE_LIMITS
    if (
        isinstance(scales, str)
        or not isinstance(scales, Sequence)
        or not scales
        or any(isinstance(s, bool) or not isinstance(s, int | float) for s in scales)
        or not all(low <= s <= high for s in scales)
    ):
        raise ValueError(
            f'scales must be a list of numbers from {low:g} to {high:g}, got {scales!r}'
        )
    if len(set(scales)) != len(scales):
        raise ValueError(f'every scale counts once, got {tuple(scales)}')
    return tuple(float(s) for s in scales)


def view_names(transforms: Sequence[str], scales: Sequence[float] = (1.0,)) -> list[str]:
    """Return a name for every view that is averaged, such as ``'rotation_90 x 0.5'``."""
    return [
        name if scale == 1 else f'{name} x {scale:g}' for scale in scales for name in transforms
    ]


def scaled_side(side: int, factor: float) -> int:
    """Return the side of a scaled image: the nearest multiple of 32 pixels, at least 32.

    Networks of strides up to 32 pad other sizes, and what they predict beside the padding is
    worse: so it is left to scale 1, whose size is given.

    Example:
        >>> [scaled_side(140, factor) for factor in (0.5, 1, 2)]
        [64, 140, 288]
    """
    return side if factor == 1 else max(MULTIPLE, round(side * factor / MULTIPLE) * MULTIPLE)


def resize(maps: Tensor, height: int, width: int) -> Tensor:
    """Resize images or maps (N, C, H, W) bilinearly, smoothed first where they get smaller.

    Args:
        maps: Of any floating type. Half precision is resized in float32.
        height: New height in pixels.
        width: New width in pixels.
    """
    if maps.shape[2:] == (height, width):
        return maps
    kind = torch.float64 if maps.dtype == torch.float64 else torch.float32
    return F.interpolate(maps.to(kind), (height, width), mode='bilinear', antialias=True).to(
        maps.dtype
    )


def apply_transform(x: Tensor, name: str) -> Tensor:
    """Flip or rotate the last two axes of images or maps.

    Args:
        x: (..., H, W).
        name: One of :data:`TTA_TRANSFORMS`; rotations are counter-clockwise.

    Returns:
        (..., H, W), or (..., W, H) after a rotation by 90 or 270 degrees.
    """
    if name == 'identity':
        return x
    if name == 'vertical_flip':
        return x.flip(-2)
    if name == 'horizontal_flip':
        return x.flip(-1)
    return torch.rot90(x, int(name.removeprefix('rotation_')) // 90, (-2, -1))


def undo_transform(x: Tensor, name: str) -> Tensor:
    """Undo :func:`apply_transform`, for maps predicted on the transformed image."""
    if name.startswith('rotation_'):
        return torch.rot90(x, -(int(name.removeprefix('rotation_')) // 90), (-2, -1))
    return apply_transform(x, name)


def mean_probabilities(
    parts: Iterable[SCDProbabilities], weights: Sequence[float] | None = None
) -> SCDProbabilities:
    """Average probabilities of one batch, map by map.

    Args:
        parts: Probabilities of the same pairs, by several models or transforms.
            With weights, they are taken one at a time and not kept in memory.
        weights: One weight > 0 for each part; None for equal weights.

    Raises:
        ValueError: There is nothing to average, or weights and parts differ in number.

    Example:
        >>> import torch
        >>> parts = [SCDProbabilities(*(torch.full((1, 1, 1, 1), p),) * 3) for p in (0.2, 0.8)]
        >>> mean_probabilities(parts, weights=[3, 1]).change.item()
        0.35...
    """
    if weights is None:
        parts = list(parts)
        weights = [1.0] * len(parts)
    total = sum(weights)
    mean: list[Tensor] = []
    count = 0
    for count, part in enumerate(parts, start=1):
        if count > len(weights):
            break
        share = weights[count - 1] / total
        weighted = [x * share for x in part]
        mean = [a + b for a, b in zip(mean, weighted, strict=True)] if mean else weighted
    if not mean or count != len(weights):
        raise ValueError(
            f'expected one prediction for each weight, at least one; got {count} predictions (or '
            f'more) and {len(weights)} weights'
        )
    return SCDProbabilities(*mean)


def augmented_probabilities(
    model: ProbabilityModel,
    inputs: Tensor,
    transforms: Sequence[str] = TTA_TRANSFORMS,
    scales: Sequence[float] = (1.0,),
) -> SCDProbabilities:
    """Predict every view of a batch, undo the views, and average the probabilities.

    Args:
        model: A detector or an ensemble.
        inputs: Pairs (N, 2B, H, W), square or not, as the model's data
            preprocessor gives them.
        transforms: Names out of :data:`TTA_TRANSFORMS`.
        scales: Factors of the pairs' height and width, 0.1..8, rounded as
            :func:`scaled_side` says; each goes with each transform.

    Returns:
        The mean probabilities, at the size of the inputs.
    """
    names, factors = check_transforms(transforms), check_scales(scales)
    height, width = inputs.shape[2:]

    def predicted() -> Iterator[SCDProbabilities]:
        for factor in factors:
            scaled = resize(inputs, *(scaled_side(side, factor) for side in (height, width)))
            for name in names:
                part = model.predict_probabilities(apply_transform(scaled, name).contiguous())
                yield SCDProbabilities(
                    *(resize(undo_transform(x, name), height, width) for x in part)
                )

    return mean_probabilities(predicted(), [1.0] * (len(names) * len(factors)))
