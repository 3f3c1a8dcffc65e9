"""Bring the weights of a backbone, stored by others, to the names of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tfinet_mm.errors import CheckpointMismatchError

PREFIXES = ('module.', 'model.', 'backbone.', 'timm_model.')
COUNTER = 'num_batches_tracked'


def backbone_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a backbone without the prefixes of other programs.

    Args:
        checkpoint: A state dict, or a checkpoint with one under
            ``state_dict``; keys may begin with ``module.``, ``model.``,
            ``backbone.`` and ``timm_model.``.

    Returns:
        The state dict without these prefixes; where a key under ``backbone.``
        exists, only those.
    """
    state = checkpoint.get('state_dict', checkpoint)
    for prefix in PREFIXES:
        if any(key.startswith(prefix) for key in state):
            state = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    return dict(state)


def match_in_order(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], rest: int, name: str, fix: str
) -> dict[str, Tensor]:
    """Match two state dicts by name, or else entry by entry in the order they are stored in.

    Batch norm's counters of batches, which many files lack, are left out.

    Args:
        found: The weights of a file.
        expected: Those of a backbone.
        rest: Number of further entries that the file may end with, such as a classifier's.
        name: Name of the file in messages.
        fix: Advice at the end of a message.

    Returns:
        The file's tensors under the backbone's keys.

    Raises:
        CheckpointMismatchError: An entry has another shape or role (weight, bias, mean
            or variance), or there are more or fewer of them.
    """
    own = {key: value for key, value in expected.items() if not key.endswith(COUNTER)}
    theirs = {key: value for key, value in found.items() if not key.endswith(COUNTER)}
    if own.keys() <= theirs.keys():
        theirs = {key: theirs[key] for key in own}
    pairs = list(zip(own.items(), theirs.items(), strict=False))
    for (key, value), (their_key, their_value) in pairs:
        same_role = key.rpartition('.')[2] == their_key.rpartition('.')[2]
        their_shape = getattr(their_value, 'shape', None)
        if not same_role or their_shape != value.shape:
            shape = 'no tensor' if their_shape is None else tuple(their_shape)
            raise CheckpointMismatchError(
                f'{name} does not fit this backbone: it has {their_key} {shape} where {key} '
                f'{tuple(value.shape)} is expected; {fix}'
            )
    if len(theirs) not in (len(own), len(own) + rest):
        raise CheckpointMismatchError(
            f'{name} does not fit this backbone: it has {len(theirs)} weights, expected '
            f'{len(own)}, or {len(own) + rest} with the classifier; {fix}'
        )
    return {key: their_value for (key, _), (_, their_value) in pairs}
