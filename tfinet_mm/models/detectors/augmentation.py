"""Test-time augmentation by flips and rotations: six of the square's eight symmetries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
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
"""Names of the transforms, in the order in which the SenseEarth 2020 winner applied them."""


class ProbabilityModel(Protocol):
    """A detector or an ensemble: whatever gives probabilities of normalised pairs."""

    def predict_probabilities(self, inputs: Tensor) -> SCDProbabilities:
        """Probabilities of all three maps for pairs (N, 2B, H, W), at their size."""


def check_transforms(transforms: Sequence[str]) -> tuple[str, ...]:
    """Check the names of transforms.

    Raises:
        ValueError: There are none, one is unknown, or one comes twice.
    """
    unknown = [name for name in transforms if name not in TTA_TRANSFORMS]
    if isinstance(transforms, str) or unknown or not transforms:
        raise ValueError(f'transforms must be a list out of {TTA_TRANSFORMS}, got {transforms!r}')
    if len(set(transforms)) != len(transforms):
        raise ValueError(f'every transform counts once, got {tuple(transforms)}')
    return tuple(transforms)


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
    """The inverse of :func:`apply_transform`, for maps predicted on the transformed image."""
    if name.startswith('rotation_'):
        return torch.rot90(x, -(int(name.removeprefix('rotation_')) // 90), (-2, -1))
    return apply_transform(x, name)


def mean_probabilities(
    parts: Sequence[SCDProbabilities], weights: Sequence[float] | None = None
) -> SCDProbabilities:
    """Average probabilities of one batch, map by map.

    Args:
        parts: Probabilities of the same pairs, by several models or transforms.
        weights: One weight > 0 each; None weighs all alike.

    Raises:
        ValueError: There is nothing to average, or weights and parts differ in number.
    """
    if weights is None:
        weights = [1.0] * len(parts)
    if not parts or len(weights) != len(parts):
        raise ValueError(f'cannot average {len(parts)} predictions with {len(weights)} weights')
    total = sum(weights)

    def mean(maps: Sequence[Tensor]) -> Tensor:
        result = maps[0] * (weights[0] / total)
        for weight, x in zip(weights[1:], maps[1:], strict=True):
            result = result + x * (weight / total)
        return result

    return SCDProbabilities(*(mean(maps) for maps in zip(*parts, strict=True)))


def augmented_probabilities(
    model: ProbabilityModel,
    inputs: Tensor,
    transforms: Sequence[str] = TTA_TRANSFORMS,
) -> SCDProbabilities:
    """Predict every transformed batch, and average what is predicted, turned back.

    Args:
        model: A detector or an ensemble.
        inputs: Normalised pairs (N, 2B, H, W), square or not.
        transforms: Names out of :data:`TTA_TRANSFORMS`.

    Returns:
        The mean probabilities, at the size of the inputs.
    """
    parts = []
    for name in check_transforms(transforms):
        part = model.predict_probabilities(apply_transform(inputs, name).contiguous())
        parts.append(SCDProbabilities(*(undo_transform(x, name) for x in part)))
    return mean_probabilities(parts)
