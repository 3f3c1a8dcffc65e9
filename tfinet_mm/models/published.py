"""Checkpoints of published networks, brought to this package's names and polarity."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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


# A lightweight convolution is one level deeper in the published networks (conv.), not here.
_SENSEEARTH_NAMES: tuple[tuple[str, str], ...] = (
    (r'^backbone\.', 'backbone.'),
    (r'^head\.head\.0\.(conv\.)?', 'semantic_head.convs.0.conv.'),
    (r'^head\.head\.1\.', 'semantic_head.convs.0.bn.'),
    (r'^head\.head\.4\.', 'semantic_head.conv_seg.'),
    # FCN
    (r'^head_bin\.head\.0\.(conv\.)?', 'change_head.convs.0.conv.'),
    (r'^head_bin\.head\.1\.', 'change_head.convs.0.bn.'),
    (r'^head_bin\.head\.4\.', 'change_head.conv_seg.'),
    # PSPNet
    *(
        (rf'^head_bin\.conv5\.0\.conv{i + 1}\.{j}\.', f'change_head.psp_modules.{i}.1.{part}.')
        for i in range(4)
        for j, part in enumerate(('conv', 'bn'))
    ),
    (r'^head_bin\.conv5\.1\.(conv\.)?', 'change_head.bottleneck.conv.'),
    (r'^head_bin\.conv5\.2\.', 'change_head.bottleneck.bn.'),
    (r'^head_bin\.conv5\.5\.', 'change_head.conv_seg.'),
    # DeepLabV3+
    (r'^head_bin\.b([0-3])\.0\.(conv\.)?', r'change_head.aspp.branches.\1.conv.'),
    (r'^head_bin\.b([0-3])\.1\.', r'change_head.aspp.branches.\1.bn.'),
    (r'^head_bin\.b4\.gap\.1\.', 'change_head.aspp.image_pool.conv.'),
    (r'^head_bin\.b4\.gap\.2\.', 'change_head.aspp.image_pool.bn.'),
    (r'^head_bin\.project\.0\.', 'change_head.aspp.project.conv.'),
    (r'^head_bin\.project\.1\.', 'change_head.aspp.project.bn.'),
    (r'^reduce_bin\.0\.', 'change_head.reduce.conv.'),
    (r'^reduce_bin\.1\.', 'change_head.reduce.bn.'),
    (r'^fuse_bin\.0\.(conv\.)?', 'change_head.fuse.0.conv.'),
    (r'^fuse_bin\.1\.', 'change_head.fuse.0.bn.'),
    (r'^fuse_bin\.3\.(conv\.)?', 'change_head.fuse.1.conv.'),
    (r'^fuse_bin\.4\.', 'change_head.fuse.1.bn.'),
    (r'^classifier_bin\.', 'change_head.conv_seg.'),
)

# The ImageNet classifier of ResNet.
_SENSEEARTH_UNUSED = re.compile(r'^backbone\.fc\.')

_SENSEEARTH_NEGATED = frozenset({'change_head.conv_seg.weight', 'change_head.conv_seg.bias'})


def plain_state_dict(checkpoint: Any) -> StateDict:
    """Take the state dict out of a checkpoint.

    Args:
        checkpoint: Content of the file: a state dict, or a dictionary
            that holds one under ``state_dict`` or ``model``.

    Returns:
        Tensors by key, one or more.

    Raises:
        ValueError: There is no state dict in it, or weights in it aren't real numbers.
    """
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    if (
        not isinstance(checkpoint, dict)
        or not checkpoint
        or not all(
            isinstance(key, str) and isinstance(value, Tensor) for key, value in checkpoint.items()
        )
    ):
        raise ValueError(
            'expected a state dict (tensors by name), on its own or under "state_dict" or '
            f'"model", got {type(checkpoint).__name__}'
            + (f' with {list(checkpoint)[:5]}' if isinstance(checkpoint, dict) else '')
        )
    for key, value in checkpoint.items():
        if not value.is_floating_point() and not key.endswith('num_batches_tracked'):
            raise ValueError(
                f'{key} is {value.dtype}, expected real numbers; a quantised network has to be '
                'stored in floating point first'
            )
    return dict(checkpoint)


def convert_tfinet(state: StateDict) -> StateDict:
    """Convert the published TFINet (ResNet-18) to ``configs/published/tfinet_r18.py``.

    Args:
        state: The published state dict; ``module.`` in front is taken off.

    Returns:
        A state dict that loads strictly, with P(changed) polarity.

    Raises:
        ValueError: It has keys that aren't those of the published TFINet.
    """
    return _convert(state, 'TFINet', _TFINET_NAMES, _TFINET_UNUSED, _TFINET_NEGATED)


def convert_senseearth(state: StateDict) -> StateDict:
    """Convert a network of the SenseEarth 2020 winner to its config in ``configs/senseearth``.

    FCN, PSPNet and DeepLabV3+ of any backbone, with normal and lightweight
    heads, are told apart by their keys.

    Args:
        state: The published state dict; ``module.`` in front is taken off.

    Returns:
        A state dict that loads strictly, with P(changed) polarity.

    Raises:
        ValueError: It has keys that none of these networks has.
    """
    return _convert(
        state, 'SenseEarth network', _SENSEEARTH_NAMES, _SENSEEARTH_UNUSED, _SENSEEARTH_NEGATED
    )


def _convert(
    state: StateDict,
    network: str,
    names: Sequence[tuple[str, str]],
    unused: re.Pattern[str],
    negated: frozenset[str],
) -> StateDict:
    converted: StateDict = {}
    unknown = []
    for key, value in state.items():
        name = key.removeprefix('module.')
        if unused.match(name):
            continue
        for pattern, replacement in names:
            ours, hits = re.subn(pattern, replacement, name)
            if hits:
                converted[ours] = -value if ours in negated else value
                break
        else:
            unknown.append(key)
    if unknown:
        raise ValueError(
            f'{len(unknown)} of {len(state)} keys are none of the published {network}, the first: '
            f'{unknown[:3]}; is this a checkpoint of that network, as a plain state dict?'
        )
    return converted


CONVERTERS: dict[str, Callable[[StateDict], StateDict]] = {
    'senseearth': convert_senseearth,
    'tfinet': convert_tfinet,
}
"""Converters by the name for ``tools/convert_checkpoint.py --network``."""
