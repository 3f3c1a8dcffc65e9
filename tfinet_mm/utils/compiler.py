"""Decide where ``torch.compile`` pays, and tell its own errors from a network's."""

from __future__ import annotations

import getpass
import os
import tempfile
from typing import Any

import torch

MODES = ('auto', 'on', 'off')
"""Values of the option ``compile``."""

LEAST_CALLS = {('cuda', True): 2000, ('cuda', False): 5000}
"""Calls from which compiling gains more time than it takes, by device and training or not.

Compiling takes about a minute on a GPU machine; a small network's training step then gains some
30 ms, a prediction some 10 ms. Devices that aren't listed gain nothing worth the wait, see
projects/speed.
"""


def check_mode(mode: Any) -> str:
    """Return the value of the option ``compile``.

    Raises:
        ValueError: It is none of :data:`MODES`.
    """
    if mode not in MODES:
        raise ValueError(f'compile must be one of {", ".join(map(repr, MODES))}, got {mode!r}')
    return str(mode)


def least_calls(device: torch.device, training: bool) -> int | None:
    """Return the number of calls from which compiling pays; None where it never does.

    Args:
        device: Where the network is.
        training: Steps of training, or predictions.
    """
    return LEAST_CALLS.get((device.type, training))


def compiler_settings(device: torch.device, graphs: bool) -> dict[str, Any]:
    """Return options of ``torch.compile``.

    Random numbers are drawn as without compiling, so that dropout, and with it a training, stays
    the same.

    Args:
        device: Where the network is.
        graphs: Record CUDA graphs, on devices that have them.
    """
    return {'fallback_random': True, 'triton.cudagraphs': graphs and device.type == 'cuda'}


def keep_caches_apart() -> None:
    """Give compiled functions a folder of their own where oneDNN is limited to fewer instructions.

    torch keeps what it compiled in one folder, and doesn't tell apart by ``ONEDNN_MAX_CPU_ISA``
    what it has laid out for oneDNN: functions of a run without the limit gave losses of 1e33.
    """
    limit = os.environ.get('ONEDNN_MAX_CPU_ISA')
    if not limit:
        return
    default = os.path.join(tempfile.gettempdir(), f'torchinductor_{getpass.getuser()}')
    folder = os.environ.get('TORCHINDUCTOR_CACHE_DIR') or default
    if not folder.endswith(f'_{limit}'):
        os.environ['TORCHINDUCTOR_CACHE_DIR'] = f'{folder}_{limit}'


def compiler_error(error: BaseException) -> str | None:
    """Return the first line of an error of the compiler; None for an error of anything else.

    Args:
        error: What a compiled function raised.
    """
    own = type(error).__module__
    if not own.startswith(('torch._dynamo', 'torch._inductor', 'torch._functorch', 'triton')):
        return None
    # The error of a backend says so in its first line, and what is wrong in that of the cause.
    error = getattr(error, 'inner_exception', None) or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0]}' if lines else type(error).__name__
