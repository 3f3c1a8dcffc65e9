"""The device that an option names, tried before minutes are spent on anything else."""

from __future__ import annotations

import torch


def usable_device(name: str | torch.device | None) -> torch.device:
    """The device of a name; a GPU where there is one, if no name is given.

    Raises:
        ValueError: There is no such device on this machine.

    Example:
        >>> usable_device('cpu')
        device(type='cpu')
    """
    try:
        device = torch.device(name or ('cuda' if torch.cuda.is_available() else 'cpu'))
        if device.type == 'meta':
            raise RuntimeError('nothing is computed there')
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        gpus = torch.cuda.device_count()
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"the device {str(name)!r} can't be used: {reason}. This machine has the CPU and "
            f'{gpus or "no"} CUDA GPU(s), cpu{", cuda:0 ..." if gpus else ""}'
        ) from None
    return device
