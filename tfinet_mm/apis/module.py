"""Build a network as a plain ``torch.nn.Module``, for training loops other than MMEngine's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from tfinet_mm.apis.loading import (
    ConfigLike,
    build_model,
    find_classes,
    is_checkpoint,
    network_config,
    read_config,
)
from tfinet_mm.apis.network_files import is_exported
from tfinet_mm.engine.testing import is_ensemble
from tfinet_mm.models.data_preprocessor import PairDataPreprocessor
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import ClassTable, SCDLogits
from tfinet_mm.utils.config.building import building

Returned = Literal['logits', 'change']


class SCDModule(nn.Module):
    """Compute logits from pairs of images, with nothing of MMEngine around the network.

    The module normalises inside, moves between devices as every module does, and computes in the
    type of its weights or of a surrounding ``torch.autocast``. A calibration of P(changed) that
    comes with the weights is left out.

    Args:
        network: A :class:`~tfinet_mm.models.detectors.SemanticChangeDetector`.
        value_range: (low, high), the values of the images that stand for black and white:
            (0, 255) for 8-bit images, (0, 1) for images that were divided by 255.
        returns: ``'logits'`` for all three maps, ``'change'`` for the logit of change alone.
        class_table: Names and colours of the classes, where they are known.

    Attributes:
        network: The network.
        num_classes: Number K of land-cover classes.
        class_table: Names and colours of the K + 1 classes, or None.

    Raises:
        ValueError: An option is out of range, or the network's data preprocessor isn't
            ``tfinet_mm.PairDataPreprocessor``, so that its normalisation isn't known.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: Any,
        value_range: Sequence[float] = (0, 255),
        returns: Returned = 'logits',
        class_table: ClassTable | None = None,
    ) -> None:
        """See the class."""
        super().__init__()
        if len(value_range) != 2 or not value_range[0] < value_range[1]:
            raise ValueError(f'value_range must be (low, high), low below high, got {value_range}')
        if returns not in ('logits', 'change'):
            raise ValueError(f"returns must be 'logits' or 'change', got {returns!r}")
        preprocessor = network.data_preprocessor
        if not isinstance(preprocessor, PairDataPreprocessor):
            raise ValueError(
                f"the network's data preprocessor is {type(preprocessor).__name__}, whose "
                'normalisation is not known here; use tfinet_mm.PairDataPreprocessor'
            )
        self.network = network
        self.returns = returns
        self.num_classes: int = network.num_classes
        self.class_table = class_table
        low, high = map(float, value_range)
        scale = (high - low) / 255
        # (low + scale x - low) / scale is x on the scale 0..255 that mean and std are on.
        self.register_buffer('mean', low + scale * preprocessor.mean, persistent=False)
        self.register_buffer('std', scale * preprocessor.std, persistent=False)

    def forward(self, before: Tensor, after: Tensor | None = None) -> SCDLogits | Tensor:
        """Compute logits at the size of the images.

        Args:
            before: Images of the first date (N, B, H, W), RGB in this order for B = 3, uint8
                or real, in ``value_range``. Or both dates in one tensor: (N, 2, B, H, W), or
                (N, 2B, H, W) with before's bands first; then without ``after``.
            after: Images of the second date, as ``before``.

        Returns:
            :class:`~tfinet_mm.structures.SCDLogits`: ``semantic_from`` and ``semantic_to``
            (N, K, H, W), and ``change`` (N, 1, H, W), positive where changed; its
            ``probabilities()`` are softmax and sigmoid. With ``returns='change'``, ``change``
            alone.

        Raises:
            ValueError: The shapes don't fit.
        """
        pairs = _pairs(before, after)
        channels = pairs.shape[1]
        # One value for all bands, one for each band of a date, or one for each of both dates.
        repeats = channels // len(self.mean) if len(self.mean) in (1, channels // 2) else 1
        mean, std = self.mean.repeat(repeats, 1, 1), self.std.repeat(repeats, 1, 1)
        if len(mean) != channels:
            raise ValueError(
                f'the images have {channels // 2} bands, and the network takes '
                f'{len(self.mean)}; choose the bands it was trained on'
            )
        dtype = self.mean.dtype if not pairs.is_floating_point() else pairs.dtype
        logits = self.network((pairs.to(dtype) - mean) / std, mode='tensor')
        return logits.change if self.returns == 'change' else logits


def build_module(
    config: ConfigLike | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    *,
    value_range: Sequence[float] = (0, 255),
    returns: Returned = 'logits',
    cfg_options: Mapping[str, Any] | None = None,
) -> SCDModule:
    """Build a network as a plain module.

    Args:
        config: A config, or a checkpoint that carries one; without both, the weights that
            come with the package.
        checkpoint: Its weights; with a config alone, the network begins as its training
            does, from the weights that its ``init_cfg`` names.
        value_range: (low, high), the values of the images that stand for black and white.
        returns: ``'logits'`` for all three maps, ``'change'`` for the logit of change alone,
            as tasks of change against no change take it.
        cfg_options: Values by dotted key that replace the config's, such as
            ``{'model.semantic_head.num_classes': 4}``.

    Returns:
        :class:`SCDModule`, in evaluation mode where it has trained weights, in training mode
        where it hasn't.

    Raises:
        FileNotFoundError: The config or the checkpoint isn't there.
        CheckpointMismatchError: The checkpoint holds another network.
        ValueError: The config is that of an ensemble, which has no logits of its own, or an
            exported file, or an option is out of range.
    """
    if is_exported(config) or is_exported(checkpoint):
        raise ValueError(
            f'{config if is_exported(config) else checkpoint} is an exported network, which can '
            'not be trained; give its config and checkpoint, or predict with SCDInferencer'
        )
    if config is None or checkpoint is not None or is_checkpoint(config):
        cfg, checkpoint = read_config(config, checkpoint, cfg_options)
    else:
        cfg = network_config(config, cfg_options)
    if is_ensemble(cfg):
        raise ValueError(
            'an ensemble averages probabilities and has no logits; give the config of one member, '
            'or predict with SCDInferencer'
        )
    named: ClassTable | None = None
    if checkpoint is not None:
        network, named = build_model(cfg, checkpoint, None)
    else:
        with (
            DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')),
            building('model', cfg.model),
        ):
            network = MODELS.build(cfg.model)
        network.init_weights()
    # A training loop chooses the precision by its own torch.autocast.
    network.autocast = None
    try:
        classes = find_classes(cfg, network.num_classes, named)
    except ValueError:
        # Names matter to results, not to logits.
        classes = None
    module = SCDModule(network, value_range, returns, classes)
    return module.train(checkpoint is None)


def _pairs(before: Tensor, after: Tensor | None) -> Tensor:
    """Return pairs (N, 2B, H, W)."""
    if after is not None:
        if before.shape != after.shape or before.ndim != 4:
            raise ValueError(
                'before and after must both be (N, B, H, W), got '
                f'{tuple(before.shape)} and {tuple(after.shape)}'
            )
        return torch.cat([before, after], 1)
    if before.ndim == 5 and before.shape[1] == 2:
        return before.flatten(1, 2)
    if before.ndim == 4 and before.shape[1] % 2 == 0:
        return before
    raise ValueError(
        'pairs in one tensor must be (N, 2, B, H, W) or (N, 2B, H, W), got '
        f'{tuple(before.shape)}; give before and after as two tensors otherwise'
    )
