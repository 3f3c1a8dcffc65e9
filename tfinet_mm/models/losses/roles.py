"""Fit mmseg's losses to the roles of a head: land cover of K classes, or change of one logit.

Some of mmseg's losses count ignored pixels, take class 0 for what a single logit means, or
compare every pixel with every other. Those that can be adapted are. The others are refused
by name before the first step, after a trial on a few made-up pixels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import (
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    LovaszLoss,
    OhemCrossEntropy,
    TverskyLoss,
)
from mmseg.models.losses.dice_loss import dice_loss
from torch import Tensor, nn

from tfinet_mm.structures import IGNORE_INDEX


class _Adapted(nn.Module):
    """Loss of mmseg that gets its pixels in another way, under the same name in the log."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    @property
    def loss_name(self) -> str:
        """Return the key in the log."""
        return str(self.loss.loss_name)


class EachPixelFocal(_Adapted):
    """Compute mmseg's ``FocalLoss``, for one logit or K, on any device.

    Its ``forward`` compares each pixel with all others where there is one logit
    and no GPU, and fails on the shapes of K logits. The mean is over labelled pixels, where
    mmseg's is over all. The formula is that of Lin et al. (Focal Loss for Dense Object
    Detection, 2017) with a sigmoid for each class.
    """

    alpha: Tensor
    class_weight: Tensor

    def __init__(self, loss: Any) -> None:
        super().__init__(loss)
        # On the device of the network; copied there in each step, they would be waited for.
        for name in ('alpha', 'class_weight'):
            value = getattr(loss, name)
            values = torch.tensor(1.0 if value is None else value).float()
            self.register_buffer(name, values, persistent=False)

    def forward(
        self,
        logits: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits: (N, C, H, W), C = 1 or K.
            label: (N, H, W), class indices (0 or 1 for C = 1) or ``ignore_index``.
            weight: Weight of each pixel (N, H, W).
            ignore_index: Label value that is left out.

        Returns:
            Scalar >= 0, the mean over labelled pixels and classes; 0 without any.
        """
        loss, logits = self.loss, _wide(logits).movedim(1, -1)
        target = _targets(label, logits.shape[-1]).movedim(1, -1).to(logits.dtype)
        probability = logits.sigmoid()
        missed = (1 - probability) * target + probability * (1 - target)
        alpha = self.alpha.to(logits.dtype)
        share = (alpha * target + (1 - alpha) * (1 - target)) * missed.pow(loss.gamma)
        each = F.binary_cross_entropy_with_logits(logits, target, reduction='none') * share
        counted = (label != ignore_index).to(logits.dtype)
        labelled = counted.sum().clamp(min=1)
        if weight is not None:
            counted = counted * weight
        each = each * self.class_weight.to(logits.dtype) * counted.unsqueeze(-1)
        if loss.reduction == 'mean':
            return loss.loss_weight * each.sum() / (labelled * logits.shape[-1])
        return loss.loss_weight * each.sum()


class LabelledDice(_Adapted):
    """Compute mmseg's ``DiceLoss`` over the labelled pixels of each image.

    mmseg's counts ignored pixels as pixels of no class, and a single logit as that of
    class 0, which would be "unchanged".
    """

    def forward(
        self,
        logits: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
    ) -> Tensor:
        """Compute the mean over images, as :meth:`EachPixelFocal.forward` takes them.

        Returns:
            Scalar; 0 without a labelled pixel.
        """
        loss, channels, logits = self.loss, logits.shape[1], _wide(logits)
        if loss.activate:
            logits = logits.sigmoid() if loss.use_sigmoid else logits.softmax(1)
        known = label != ignore_index
        # Masked, not taken out: their number would be waited for.
        each = dice_loss(
            logits * known.unsqueeze(1),
            _targets(label, channels) & known.unsqueeze(1),
            None,
            eps=loss.eps,
            reduction='none',
            naive_dice=loss.naive_dice,
            ignore_index=loss.ignore_index if loss.ignore_index in range(channels) else None,
        )
        labelled = known.flatten(1).any(1)
        mean = (each * labelled).sum() / labelled.sum().clamp(min=1)
        return loss.loss_weight * mean


def _wide(logits: Tensor) -> Tensor:
    """Return logits of 16 bits as float32: sums of pixels reach beyond float16."""
    return logits if logits.dtype == torch.float64 else logits.float()


def _targets(label: Tensor, channels: int) -> Tensor:
    """Return whether a pixel (N, H, W) is of each class: (N, C, H, W), for one channel class 1."""
    if channels == 1:
        return (label == 1).unsqueeze(1)
    classes = torch.arange(channels, device=label.device).view(1, -1, 1, 1)
    return label.unsqueeze(1) == classes


class SkipsUnlabelled(_Adapted):
    """Call a loss of mmseg that fails on a batch without a labelled pixel, or gives no number."""

    def forward(
        self,
        logits: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
    ) -> Tensor:
        """Compute the loss, or 0 with a gradient of 0 where no pixel of the batch is labelled."""
        if _none_labelled(label, ignore_index):
            return logits.sum() * 0
        return self._labelled(logits, label, weight, ignore_index)

    def _labelled(
        self, logits: Tensor, label: Tensor, weight: Tensor | None, ignore_index: int
    ) -> Tensor:
        result: Tensor = self.loss(logits, label, weight=weight, ignore_index=ignore_index)
        return result


class PlainOhem(SkipsUnlabelled):
    """Call mmseg's ``OhemCrossEntropy``, which takes no weights and has an ``ignore_label``."""

    def _labelled(
        self, logits: Tensor, label: Tensor, weight: Tensor | None, ignore_index: int
    ) -> Tensor:
        result: Tensor = self.loss(logits, label)
        return result


class LabelledLovasz(SkipsUnlabelled):
    """Call mmseg's ``LovaszLoss`` on the images that have a labelled pixel.

    For each image, mmseg's counts an image without any as a loss of 0, or fails on it. On a
    single labelled pixel it fails too.
    """

    def _labelled(
        self, logits: Tensor, label: Tensor, weight: Tensor | None, ignore_index: int
    ) -> Tensor:
        labelled = (label != ignore_index).flatten(1).sum(1)
        logits, label = _wide(logits)[labelled > 0], label[labelled > 0]
        if bool((labelled == 1).any()):
            # With every pixel twice, all ratios of areas stay the same.
            logits, label = torch.cat([logits, logits], -1), torch.cat([label, label], -1)
        result: Tensor = self.loss(logits, label, ignore_index=ignore_index)
        return result


class LabelledTversky(_Adapted):
    """Average mmseg's ``TverskyLoss`` over images with a labelled pixel; the others have 0."""

    def forward(
        self,
        logits: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
    ) -> Tensor:
        """Compute the mean over images, 0 without a labelled pixel."""
        labelled = (label != ignore_index).flatten(1).any(1).sum()
        mean: Tensor = self.loss(_wide(logits), label, ignore_index=ignore_index)
        return mean * len(label) / labelled.clamp(min=1)


def _none_labelled(label: Tensor, ignore_index: int) -> bool:
    return not bool((label != ignore_index).any())


ADAPTERS: dict[type[nn.Module], type[_Adapted]] = {
    FocalLoss: EachPixelFocal,
    DiceLoss: LabelledDice,
    OhemCrossEntropy: PlainOhem,
    LovaszLoss: LabelledLovasz,
    TverskyLoss: LabelledTversky,
}


def loss_title(loss: nn.Module) -> str:
    """Name the class of a loss as a config does."""
    return type(loss.loss if isinstance(loss, _Adapted) else loss).__name__


def averages_ignored(head: Any) -> bool:
    """Return whether a loss of a head is a mean over ignored pixels too.

    Such a loss shrinks as fewer pixels are labelled.

    Args:
        head: One of mmseg's heads.
    """
    own = getattr(head, 'loss_decode', None)
    listed = own if isinstance(own, nn.ModuleList) else [own]
    losses = [one.loss if isinstance(one, _Adapted) else one for one in listed]
    return any(
        isinstance(one, CrossEntropyLoss) and one.reduction == 'mean' and not one.avg_non_ignore
        for one in losses
    )


def fit_loss(loss: nn.Module, channels: int, role: str, ignore_index: int = IGNORE_INDEX) -> Any:
    """Adapt a loss to a role, or refuse it.

    Args:
        loss: A loss as mmseg's heads call it.
        channels: Logits of the head: 1 for change, or the number of classes.
        role: Role of the head in messages, such as ``'change head'``.
        ignore_index: Label value that is left out.

    Returns:
        The loss, or one that adapts it.

    Raises:
        ValueError: It fails on a few made-up pixels, isn't a number, or learns
            nothing, the opposite, or from ignored pixels.
    """
    adapter = ADAPTERS.get(type(loss))
    if isinstance(loss, CrossEntropyLoss) and loss.use_sigmoid:
        adapter = SkipsUnlabelled
    fitted = loss if adapter is None else adapter(loss)
    if getattr(loss, 'loss_weight', None) == 0:
        return fitted
    if any(p.is_meta for p in (*loss.parameters(), *loss.buffers())):
        return fitted
    if isinstance(loss, DiceLoss) and channels == 1 and loss.activate and not loss.use_sigmoid:
        problem: str | None = 'it takes the logit itself for a probability'
    else:
        with torch.device('cpu'), torch.enable_grad():
            problem = _problem(fitted, channels, ignore_index)
    if problem is not None:
        name = type(loss).__name__
        one = 'one logit, positive where changed' if channels == 1 else f'{channels} classes'
        known = (
            'tfinet_mm.ChangeBCELoss, FocalLoss, CrossEntropyLoss(use_sigmoid=True), '
            "DiceLoss(use_sigmoid=True), LovaszLoss(loss_type='binary')"
            if channels == 1
            else 'tfinet_mm.SemanticCELoss, CrossEntropyLoss, FocalLoss, DiceLoss, LovaszLoss, '
            'TverskyLoss, OhemCrossEntropy'
        )
        raise ValueError(
            f'{name} can not be the loss of the {role} ({one}): {problem}; use {known}'
        )
    return fitted


def fit_losses(head: Any, role: str) -> None:
    """Apply :func:`fit_loss` to the losses of a head, in place.

    Args:
        head: One of mmseg's heads; one that computes its losses itself is left as
            it is.
        role: Role of the head in messages.

    Raises:
        ValueError: As :func:`fit_loss`.
    """
    if getattr(type(head), 'loss_by_feat', None) is not BaseDecodeHead.loss_by_feat:
        return
    options = (head.out_channels, role, head.ignore_index)
    if isinstance(head.loss_decode, nn.ModuleList):
        head.loss_decode = nn.ModuleList(fit_loss(loss, *options) for loss in head.loss_decode)
    else:
        head.loss_decode = fit_loss(head.loss_decode, *options)


def _problem(loss: Any, channels: int, ignore_index: int) -> str | None:
    """Return the fault of a loss on a few pixels, or None."""
    classes = max(channels, 2)
    label = torch.arange(32).reshape(2, 4, 4) % classes
    label[:, 0, 0] = ignore_index
    values = torch.linspace(-0.5, 0.5, 32 * channels).reshape(2, 4, 4, channels)
    logits = values.movedim(-1, 1).contiguous().requires_grad_()
    try:
        result = loss(logits, label, weight=None, ignore_index=ignore_index)
        if not isinstance(result, Tensor) or result.dim() > 0:
            return (
                f'it gives no single number but {getattr(result, "shape", type(result).__name__)}'
            )
        (gradient,) = torch.autograd.grad(result, logits)
    # A loss that raises anything on valid pixels can't be used.
    except Exception as error:
        return f'{type(error).__name__} on a map of labels ({error})'
    if not (torch.isfinite(result) and torch.isfinite(gradient).all()):
        return 'it is not finite where some pixels are ignored'
    if not gradient.any():
        return 'nothing can be learnt from it'
    if gradient[:, :, 0, 0].any():
        return f'it learns from ignored pixels ({ignore_index})'
    known = label != ignore_index
    if channels == 1:
        rises, falls = (-gradient[:, 0][known & (label == value)].sum() for value in (1, 0))
        wrong = rises <= 0 or falls > 0
    else:
        own = gradient.gather(1, label.masked_fill(~known, 0)[:, None])[:, 0]
        wrong = own[known].sum() >= 0
    return 'it learns the opposite of the labels' if wrong else None
