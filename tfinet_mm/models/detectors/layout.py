"""Keep the weights of a network in the memory format in which its device computes fastest."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from tfinet_mm.utils.device import surrounding_autocast


def check_layout(layout: Any) -> bool | str:
    """Return the option ``channels_last`` of a detector.

    Raises:
        ValueError: It is neither ``'auto'`` nor True or False.
    """
    if layout != 'auto' and not isinstance(layout, bool):
        raise ValueError(f"channels_last must be 'auto', True or False, got {layout!r}")
    return layout if isinstance(layout, bool) else 'auto'


def prefers_channels_last(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether convolutions are faster with channels last.

    They are on CPUs, and on the tensor cores of GPUs: in 16 bits, and in float32 where it is
    computed as TF32. In float32 itself cuDNN's kernels are made for channels first.

    Args:
        device: Where the network is.
        dtype: Type of its weights and images.
    """
    if device.type != 'cuda' or surrounding_autocast(device) not in (None, 'float32'):
        return True
    if dtype in (torch.float16, torch.bfloat16):
        return True
    return dtype == torch.float32 and _uses_tf32(device)


def _uses_tf32(device: torch.device) -> bool:
    if torch.cuda.get_device_capability(device) < (8, 0):
        return False
    # Asking in the old way is an error once TF32 was set in the way of torch 2.9.
    with contextlib.suppress(RuntimeError):
        return bool(torch.backends.cudnn.allow_tf32)
    return True


def fit_layout(network: Any, device: torch.device, dtype: torch.dtype) -> None:
    """Change the memory format of a network on a GPU where ``'auto'`` asks for another one.

    Args:
        network: The detector, with the option as ``layout`` and the format that it has as
            ``channels_last``.
        device: Device of the images.
        dtype: Their type.
    """
    if network.layout != 'auto' or device.type != 'cuda':
        return
    wanted = prefers_channels_last(device, dtype)
    if wanted != network.channels_last:
        set_layout(network, wanted)


def set_layout(network: Any, channels_last: bool) -> None:
    """Change the memory format of the weights of a detector, of those of four dimensions.

    Args:
        network: The detector.
        channels_last: The format.
    """
    format_ = torch.channels_last if channels_last else torch.contiguous_format
    # Weights that are made in inference mode could never be trained.
    with torch.inference_mode(False), torch.no_grad():
        network.to(memory_format=format_)
    network.channels_last = channels_last
