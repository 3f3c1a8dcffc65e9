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
)
from mmseg.models.losses.focal_loss import py_sigmoid_focal_loss
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
    """Compute mmseg's ``FocalLoss`` by its own function, for one logit or K, on any device.

    Its ``forward`` compares each pixel with all others where there is one logit
    and no GPU, and fails on the shapes of K logits. The mean is over labelled pixels, where
    mmseg's is over all.
    """

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
            Scalar >= 0, the mean over labelled pixels; 0 without any.
        """
        channels, loss = logits.shape[1], self.loss
        known = label != ignore_index
        classes = label.masked_fill(~known, 0)
        if channels == 1:
            target = classes.reshape(-1, 1)
        else:
            target = F.one_hot(classes.reshape(-1), channels)
        result: Tensor = py_sigmoid_focal_loss(
            logits.movedim(1, -1).reshape(-1, channels),
            target,
            weight=None if weight is None else weight.reshape(-1),
            gamma=loss.gamma,
            alpha=loss.alpha,
            class_weight=loss.class_weight,
            valid_mask=known.reshape(-1, 1),
            reduction=loss.reduction,
        )
        if loss.reduction == 'mean':
            result = result * (known.numel() / known.sum().clamp(min=1))
        return loss.loss_weight * result


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
        losses = []
        for one, classes in zip(logits, label, strict=True):
            known = classes != ignore_index
            if not known.any():
                continue
            pixels, target = one[:, known][None, :, None], classes[known][None, None]
            if logits.shape[1] == 1:
                target = target[:, None].to(pixels.dtype)
            losses.append(self.loss(pixels, target))
        return torch.stack(losses).mean() if losses else logits.sum() * 0


class PlainOhem(_Adapted):
    """Call mmseg's ``OhemCrossEntropy``, which takes no weights and has an ``ignore_label``."""

    def forward(
        self,
        logits: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
    ) -> Tensor:
        """Compute the loss of logits (N, K, H, W) and labels (N, H, W); the weights aren't used."""
        if _none_labelled(label, ignore_index):
            return logits.sum() * 0
        result: Tensor = self.loss(logits, label)
        return result


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
        result: Tensor = self.loss(logits, label, weight=weight, ignore_index=ignore_index)
        return result


def _none_labelled(label: Tensor, ignore_index: int) -> bool:
    return not bool((label != ignore_index).any())


ADAPTERS: dict[type[nn.Module], type[_Adapted]] = {
    FocalLoss: EachPixelFocal,
    DiceLoss: LabelledDice,
    OhemCrossEntropy: PlainOhem,
    LovaszLoss: SkipsUnlabelled,
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
