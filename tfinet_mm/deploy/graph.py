"""Build one module of tensors around a trained network, which any exporter can trace.

Everything between stored values and maps is inside: scaling, normalisation, padding, views,
members of an ensemble, softmax and sigmoid, the calibration, the threshold.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfinet_mm.calibration import Calibration
from tfinet_mm.deploy.layers import exportable
from tfinet_mm.deploy.sizes import LEAST_SCALED, Side, repeat_edge, resize, scaled, whole_multiple
from tfinet_mm.errors import ExportError
from tfinet_mm.models.detectors.augmentation import apply_transform, undo_transform


class ExportGraph(nn.Module):
    """A trained network from stored values to probabilities and maps, in float32.

    Args:
        model: A detector or an ensemble in evaluation mode; it is copied.
        threshold: P(changed) from which a pixel counts as changed.
        value_range: (low, high), the stored values that become 0 and 255; None for values as they
            are.
        transforms: Names of the flips and rotations that are averaged.
        scales: Factors of height and width, each with each transform.
        size: Fixed (height, width) of the inputs, or None for any.
        calibration: Replaces the mean P(changed).

    Attributes:
        least_side: Height and width have to be this many pixels at least, where they are open.

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
        # torch pads the images of a detector before it makes views of them, and each view that a
        # member of an ensemble gets.
        self.alone = len(parts) == 1
        self.shares = [weight / sum(weights) for weight in weights]
        self.value_range = value_range
        self.transforms, self.scales = tuple(transforms), tuple(scales)
        self.size = size
        self.least_side = 1 if size is not None or self.scales == (1.0,) else LEAST_SCALED
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
        members = [cast(_Member, member) for member in self.members]
        images = members[0].prepare(pairs) if self.alone else pairs
        sides = (images.shape[2], images.shape[3])
        total: list[Tensor] = []
        for scale in self.scales:
            view_sides = (scaled(sides[0], scale), scaled(sides[1], scale))
            view = resize(images, view_sides, scale)
            for name in self.transforms:
                turned = apply_transform(view, name)
                for member, weight in zip(members, self.shares, strict=True):
                    made = member(turned if self.alone else member.prepare(turned))
                    # Without what was padded for the network, and then for the preprocessor.
                    views = (part[..., : turned.shape[2], : turned.shape[3]] for part in made)
                    parts = [
                        resize(undo_transform(part, name), sides, 1 / scale)[..., :height, :width]
                        for part in views
                    ]
                    total = _add(total, parts, share * weight)
        if self.calibration is not None:
            total[-1] = self.calibration(total[-1], self.calibration_values)
        return tuple(total)


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
        self.size_divisor = int(own.size_divisor)
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

    def prepare(self, pairs: Tensor) -> Tensor:
        """Exchange bands, normalise and pad as the data preprocessor does.

        Args:
            pairs: (N, 2B, H, W), values 0..255.
        """
        if self.swap:
            pairs = pairs[:, [2, 1, 0, 5, 4, 3]]
        if self.normalize:
            pairs = (pairs - self.mean) / self.std
        sides = []
        for axis, side in enumerate(pairs.shape[2:]):
            least = max(side, self.test_size[axis]) if self.test_size is not None else side
            sides.append(whole_multiple(least, self.test_divisor))
        more = [new - old for new, old in zip(sides, pairs.shape[2:], strict=True)]
        if self.test_size is not None or self.test_divisor > 1:
            pairs = F.pad(pairs, (0, more[1], 0, more[0]), value=self.pad_val)
        return pairs

    def forward(self, pairs: Tensor) -> tuple[Tensor, ...]:
        """Return the three probabilities of prepared pairs, with more pixels at bottom and right.

        Those pixels are what was padded to a multiple of the network's divisor.
        """
        sides: list[Side] = [whole_multiple(side, self.size_divisor) for side in pairs.shape[2:]]
        made = self.detector.encode_decode(repeat_edge(pairs, sides)).probabilities()
        return tuple(made)


def _add(total: list[Tensor], parts: list[Tensor], share: float) -> list[Tensor]:
    if share == 1:
        return parts
    weighted = [part * share for part in parts]
    return [a + b for a, b in zip(total, weighted, strict=True)] if total else weighted
