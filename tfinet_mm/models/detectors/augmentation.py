"""Test-time augmentation by flips and rotations: six of the square's eight symmetries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
) -> SCDProbabilities:
    """Predict every transformed batch, undo the transforms, and average the probabilities.

    Args:
        model: A detector or an ensemble.
        inputs: Pairs (N, 2B, H, W), square or not, as the model's data
            preprocessor gives them.
        transforms: Names out of :data:`TTA_TRANSFORMS`.

    Returns:
        The mean probabilities, at the size of the inputs.
    """
    names = check_transforms(transforms)

    def predicted() -> Iterator[SCDProbabilities]:
        for name in names:
            part = model.predict_probabilities(apply_transform(inputs, name).contiguous())
            yield SCDProbabilities(*(undo_transform(x, name) for x in part))

    return mean_probabilities(predicted(), [1.0] * len(names))
