"""Checkpoints of published networks, brought to this package's names and polarity."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor

StateDict = dict[str, Tensor]

# Published name -> ours, first match wins.
_TFINET_NAMES: tuple[tuple[str, str], ...] = (
    (r'^resnet\.(?=conv1\.|bn1\.|layer)', 'backbone.'),
    (r'^neck\.conv1\.', 'neck.levels.0.merge.'),
    (r'^neck\.conv2\.', 'neck.levels.0.contrast.'),
    (r'^neck\.sp\.fc1\.', 'neck.levels.0.enhance.squeeze.'),
    (r'^neck\.sp\.fc2\.', 'neck.levels.0.enhance.expand.'),
    (r'^neck\.sp\.', 'neck.levels.0.enhance.'),
    (r'^neck\.gen_mask\.0\.', 'neck.levels.0.logit_conv.'),
    (r'^neck\.gen_mask\.1\.', 'neck.levels.0.logit_bn.'),
    (r'^neck\.conv_final\.', 'neck.levels.0.refine.'),
    (r'^neck\.beta$', 'neck.levels.0.beta'),
    (r'^classifier\.conv1_3\.', 'semantic_head.steps.0.0.'),
    (r'^classifier\.conv1_4\.', 'semantic_head.steps.1.0.'),
    (r'^classifier\.conv1_5\.', 'semantic_head.conv_seg.'),
    (r'^aggregation\.conv2_3\.(\d)\.', r'change_head.steps.0.\1.'),
    (r'^aggregation\.conv2_4\.', 'change_head.steps.1.0.'),
    (r'^aggregation\.conv2_5\.', 'change_head.steps.2.0.'),
    (r'^aggregation\.head\.0\.', 'change_head.conv_seg.'),
)

# Nothing in the published network uses these: a learnable scalar of the neck
# and ResNet's ImageNet classifier.
_TFINET_UNUSED = re.compile(r'^(neck\.alpha|resnet\.fc\.(weight|bias))$')

# The published networks predict P(unchanged). Negating these turns the change
# logit and the difference logit m around; beta turns tanh(m) * beta back, so
# the features of the two dates stay what they were.
_TFINET_NEGATED = frozenset(
    {
        'change_head.conv_seg.weight',
        'change_head.conv_seg.bias',
        'neck.levels.0.logit_bn.weight',
        'neck.levels.0.logit_bn.bias',
        'neck.levels.0.beta',
    }
)


def plain_state_dict(checkpoint: Any) -> StateDict:
    """Take the state dict out of a checkpoint.

    Args:
        checkpoint: What was read from the file: a state dict, or a dictionary
            that holds one under ``state_dict`` or ``model``.

    Returns:
        Tensors by key.

    Raises:
        ValueError: There is no state dict in it.
    """
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    if not isinstance(checkpoint, dict) or not all(
        isinstance(value, Tensor) for value in checkpoint.values()
    ):
        raise ValueError(
            'expected a state dict (tensors by name), on its own or under "state_dict" or '
            f'"model", got {type(checkpoint).__name__}'
            + (f' with {list(checkpoint)[:5]}' if isinstance(checkpoint, dict) else '')
        )
    return dict(checkpoint)


def convert_tfinet(state: StateDict) -> StateDict:
    """Convert the published TFINet (ResNet-18) to ``configs/published/tfinet_r18.py``.

    Args:
        state: The published state dict; ``module.`` in front is taken off.

    Returns:
        A state dict that loads strictly, with P(changed) polarity.

    Raises:
        ValueError: Keys that the published TFINet doesn't have.
    """
    converted: StateDict = {}
    unknown = []
    for key, value in state.items():
        name = key.removeprefix('module.')
        if _TFINET_UNUSED.match(name):
            continue
        for pattern, replacement in _TFINET_NAMES:
            ours, hits = re.subn(pattern, replacement, name)
            if hits:
                converted[ours] = -value if ours in _TFINET_NEGATED else value
                break
        else:
            unknown.append(key)
    if unknown:
        raise ValueError(
            f'{len(unknown)} of {len(state)} keys are none of the published TFINet, the first: '
            f'{unknown[:3]}; is this a checkpoint of that network, as a plain state dict?'
        )
    return converted


CONVERTERS: dict[str, Callable[[StateDict], StateDict]] = {'tfinet': convert_tfinet}
"""Converters by the name that ``tools/convert_checkpoint.py --network`` takes."""
