"""Try the device that an option names before minutes are spent on anything else."""

from __future__ import annotations

import torch


def usable_device(name: str | torch.device | None) -> torch.device:
    """Return the device of a name; without a name a GPU if there is one, else the CPU.

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
