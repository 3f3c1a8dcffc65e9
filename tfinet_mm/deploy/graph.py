"""Build one module of tensors around a trained network, which any exporter can trace.

Everything between stored values and maps is inside: scaling, normalisation, padding, views,
members of an ensemble, softmax and sigmoid, the calibration, the threshold.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfinet_mm.calibration import Calibration
from tfinet_mm.deploy.layers import exportable, resize_matrix
from tfinet_mm.errors import ExportError
from tfinet_mm.models.detectors.augmentation import (
    MULTIPLE,
    apply_transform,
    scaled_side,
    undo_transform,
)

LARGEST_DIVISOR = 512
"""Greatest multiple, in pixels, that the sizes of a dynamic network may be held to."""


class ExportGraph(nn.Module):
    """A trained network from stored values to probabilities and maps, in float32.

    Args:
        model: A detector or an ensemble in evaluation mode; it is copied.
        threshold: P(changed) from which a pixel counts as changed.
        value_range: (low, high), the stored values that become 0 and 255; None for values as they
            are.
        transforms: Names of the flips and rotations that are averaged.
        scales: Factors of height and width, each with each transform.
        size: Fixed (height, width) of the inputs, or None for any multiple of
            :attr:`size_divisor`.
        calibration: Replaces the mean P(changed).

    Attributes:
        size_divisor: Height and width have to be multiples of it; 1 for a fixed size.

    Raises:
        ExportError: The network can't be exported so; the message names the part and the fix.
    """

    threshold: Tensor
    calibration_values: Tensor

    def __init__(
        self,
        model: Any,
        threshold: float,
        value_range: tuple[float, float] | None = None,
        transforms: Sequence[str] = ('identity',),
        scales: Sequence[float] = (1.0,),
        size: tuple[int, int] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__()
        members = list(getattr(model, 'members', [model]))
        weights = list(getattr(model, 'weights', [1.0]))
        parts = [_Member(one, size is None) for one in members]
        self.members = nn.ModuleList(parts)
        self.shares = [weight / sum(weights) for weight in weights]
        self.value_range = value_range
        self.transforms, self.scales = tuple(transforms), tuple(scales)
        self.size = size
        self.size_divisor = 1
        if size is None:
            own = math.lcm(*(part.size_divisor for part in parts))
            self.size_divisor = dynamic_divisor(own, self.scales)
        self.register_buffer('threshold', torch.tensor(float(threshold)))
        self.calibration = calibration
        if calibration is not None:
            self.register_buffer('calibration_values', calibration.table())
        self.eval().requires_grad_(False)

    def forward(self, before: Tensor, after: Tensor) -> tuple[Tensor, ...]:
        """Predict a batch of pairs.

        Args:
            before: Stored values of the first date, (N, B, H, W) of any type.
            after: Those of the second date, of the same shape.

        Returns:
            As :data:`tfinet_mm.deploy.card.OUTPUTS` names them: class probabilities of either date
            (N, K, H, W), P(changed) (N, H, W), and as uint8 (N, H, W) the change 0 or 1 and the
            land cover 1..K of either date.
        """
        pairs = torch.cat([before, after], dim=1).float()
        if self.value_range is not None:
            low, high = self.value_range
            pairs = ((pairs - low) * (255 / (high - low))).clamp(0, 255)
        prob_from, prob_to, change_prob = self.probabilities(pairs)
        change_prob = change_prob[:, 0]
        change = (change_prob >= self.threshold).to(torch.uint8)
        cover_from = prob_from.argmax(1).to(torch.uint8) + 1
        cover_to = prob_to.argmax(1).to(torch.uint8) + 1
        return prob_from, prob_to, change_prob, change, cover_from, cover_to

    def probabilities(self, pairs: Tensor) -> tuple[Tensor, ...]:
        """Average over views and members, and calibrate P(changed).

        Args:
            pairs: (N, 2B, H, W), values 0..255.

        Returns:
            (N, K, H, W), (N, K, H, W) and (N, 1, H, W).
        """
        height, width = pairs.shape[2:]
        share = 1 / (len(self.scales) * len(self.transforms))
        total: list[Tensor] = []
        for scale in self.scales:
            sides = [self._side(side, scale) for side in (height, width)]
            scaled = resize(pairs, sides[0], sides[1], scale)
            for name in self.transforms:
                view = apply_transform(scaled, name)
                for member, weight in zip(self.members, self.shares, strict=True):
                    parts = [
                        resize(undo_transform(part, name), height, width, 1 / scale)
                        for part in member(view)
                    ]
                    total = _add(total, parts, share * weight)
        if self.calibration is not None:
            total[-1] = self.calibration(total[-1], self.calibration_values)
        return tuple(total)

    def _side(self, side: int, scale: float) -> int:
        if self.size is not None:
            return side if scale == 1 and self.scales == (1.0,) else scaled_side(side, scale)
        exact = Fraction(scale).limit_denominator(LARGEST_DIVISOR)
        return side * exact.numerator // exact.denominator


class _Member(nn.Module):
    """A detector from values 0..255 to probabilities.

    Args:
        detector: The detector.
        dynamic: Refuse padding of the data preprocessor to a fixed size.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, detector: Any, dynamic: bool) -> None:
        super().__init__()
        if not hasattr(detector, 'encode_decode') or not hasattr(detector, 'size_divisor'):
            raise ExportError(
                f'a {type(detector).__name__} can not be exported, expected a '
                'tfinet_mm.SemanticChangeDetector or an ensemble of them'
            )
        own = copy.deepcopy(detector)
        # Only losses need them, and they would count as weights of the file.
        own.auxiliary_heads, own.auxiliary_branches = nn.ModuleList(), []
        own.autocast, own.channels_last = None, False
        preprocessor = own.data_preprocessor
        self.test_size = getattr(preprocessor, 'test_size', None)
        self.test_divisor = getattr(preprocessor, 'test_size_divisor', None) or 1
        if dynamic and self.test_size is not None:
            raise ExportError(
                f'the data preprocessor pads to {self.test_size} in testing (test_cfg.size), which '
                'a network of dynamic size does not; give --size HEIGHT WIDTH'
            )
        self.pad_val = float(getattr(preprocessor, 'pad_val', 0))
        self.size_divisor = math.lcm(int(own.size_divisor), self.test_divisor)
        self.swap = bool(getattr(preprocessor, 'bgr_to_rgb', False))
        self.normalize = bool(getattr(preprocessor, 'normalize', False))
        bands = 2 * int(own.bands or len(getattr(preprocessor, 'mean', [0] * 3)))
        if self.normalize:
            for name in ('mean', 'std'):
                values = getattr(preprocessor, name).float().flatten()
                both = values.repeat(bands // len(values)).view(1, -1, 1, 1)
                self.register_buffer(name, both.clone())
        own.data_preprocessor = nn.Identity()
        self.detector = exportable(own.float().to(memory_format=torch.contiguous_format))

    def forward(self, pairs: Tensor) -> tuple[Tensor, ...]:
        """Return the three probabilities of pairs (N, 2B, H, W) of values 0..255."""
        height, width = pairs.shape[2:]
        if self.swap:
            pairs = pairs[:, [2, 1, 0, 5, 4, 3]]
        if self.normalize:
            pairs = (pairs - self.mean) / self.std
        if self.test_size is not None or self.test_divisor > 1:
            padding = []
            for axis, side in ((1, width), (0, height)):
                least = max(side, self.test_size[axis]) if self.test_size is not None else side
                padding += [0, -(-least // self.test_divisor) * self.test_divisor - side]
            if any(isinstance(one, int) and one > 0 for one in padding):
                pairs = F.pad(pairs, padding, value=self.pad_val)
        made = self.detector.encode_decode(pairs).probabilities()
        return tuple(part[..., :height, :width] for part in made)


def dynamic_divisor(own: int, scales: Sequence[float]) -> int:
    """Return the divisor of height and width at which every scale gives whole network strides.

    Args:
        own: Divisor of the network itself.
        scales: Factors of height and width.

    Raises:
        ExportError: It would be too large to be useful.

    Example:
        >>> dynamic_divisor(32, (1.0,)), dynamic_divisor(32, (0.5, 1.0, 2.0))
        (32, 64)
    """
    if tuple(scales) == (1.0,):
        return own
    stride = math.lcm(own, MULTIPLE)
    divisor = 1
    for scale in scales:
        exact = Fraction(scale).limit_denominator(LARGEST_DIVISOR)
        parts = stride * exact.denominator
        divisor = math.lcm(divisor, parts // math.gcd(parts, exact.numerator))
    if divisor > LARGEST_DIVISOR:
        raise ExportError(
            f'at the scales {", ".join(f"{s:g}" for s in scales)} a network of dynamic size takes '
            f'multiples of {divisor} pixels only; give --size HEIGHT WIDTH, or other scales'
        )
    return divisor


def resize(maps: Tensor, height: int, width: int, scale: float) -> Tensor:
    """Resize as :func:`tfinet_mm.models.detectors.augmentation.resize`, with plain operations.

    Args:
        maps: (N, C, H, W) float32.
        height: New height in pixels.
        width: New width in pixels.
        scale: Its ratio to the old height, which says whether maps are smoothed.
    """
    if scale == 1 and all(
        isinstance(new, torch.SymInt) or new == old
        for new, old in zip((height, width), maps.shape[2:], strict=True)
    ):
        return maps
    if scale > 1:
        return F.interpolate(maps, (height, width), mode='bilinear', align_corners=False)
    rows = resize_matrix(maps.shape[2], height, maps)
    columns = resize_matrix(maps.shape[3], width, maps)
    return rows @ maps @ columns.mT


def _add(total: list[Tensor], parts: list[Tensor], share: float) -> list[Tensor]:
    if share == 1:
        return parts
    weighted = [part * share for part in parts]
    return [a + b for a, b in zip(total, weighted, strict=True)] if total else weighted
