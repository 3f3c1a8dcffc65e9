"""Rename weights of Open-CD's ``SiamEncoderMultiDecoder`` for this package's detector, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tfinet_mm.errors import CheckpointMismatchError

NAMES = {
    'backbone.': 'backbone.',
    'neck.': 'neck.neck.',
    'decode_head.binary_cd_head.': 'change_head.',
    'decode_head.semantic_cd_head.': 'semantic_head.',
}
"""Beginnings of names in Open-CD's detector and in this package's."""
SECOND_HEAD = 'decode_head.semantic_cd_head_aux.'
"""The head of the second date, in Open-CD's detector the first one again, or one of its own."""


def from_opencd(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of an Open-CD detector for this package's.

    Args:
        weights: ``state_dict`` of a ``SiamEncoderMultiDecoder`` whose head is a
            ``GeneralSCDHead`` with one semantic head for both dates and a neck without weights.

    Returns:
        The same tensors by the names of :class:`~tfinet_mm.models.SemanticChangeDetector`.

    Raises:
        CheckpointMismatchError: The two dates have semantic heads of their own, or a weight has
            no place.
    """
    renamed = {}
    for name, value in weights.items():
        if name.startswith(SECOND_HEAD):
            first = weights.get(name.replace(SECOND_HEAD, 'decode_head.semantic_cd_head.', 1))
            if first is None or not torch.equal(first, value):
                raise CheckpointMismatchError(
                    f'{name} is a weight of a semantic head for the second date alone; '
                    'tfinet_mm.SemanticChangeDetector has one head for both dates'
                )
            continue
        renamed[_renamed(name, NAMES)] = value
    return renamed


def to_opencd(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a detector for Open-CD's ``SiamEncoderMultiDecoder``.

    Args:
        weights: ``state_dict`` of a detector whose neck has no weights or is a ``OneDateNeck``;
            auxiliary heads are left out.

    Returns:
        The same tensors by Open-CD's names, those of the semantic head twice.

    Raises:
        CheckpointMismatchError: A weight has no place, such as one of TFINet's neck.
    """
    back = {ours: theirs for theirs, ours in NAMES.items()}
    renamed = {}
    for name, value in weights.items():
        if name.startswith('auxiliary_heads.'):
            continue
        found = _renamed(name, back)
        renamed[found] = value
        if name.startswith('semantic_head.'):
            renamed[found.replace('semantic_cd_head.', 'semantic_cd_head_aux.', 1)] = value
    return renamed


def _renamed(name: str, names: Mapping[str, str]) -> str:
    for start, new in names.items():
        if name.startswith(start):
            return new + name.removeprefix(start)
    raise CheckpointMismatchError(
        f'the weight {name} has no place in the other detector, which takes those that begin with '
        f'{", ".join(names)}'
    )
