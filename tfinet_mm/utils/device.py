"""Check the device of an option, and choose the type in which a device computes fastest."""

from __future__ import annotations

import contextlib
import logging
import platform
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from mmengine.device import get_device
from mmengine.logging import print_log

from tfinet_mm.utils.processor import UNITS, features, limit

PRECISIONS = ('auto', 'bfloat16', 'float16', 'float32')

_ARM_MACHINES = ('aarch64', 'arm64')
_said: set[str] = set()


class Precision(NamedTuple):
    """Type of numbers to compute in, and the reason for it.

    Attributes:
        dtype: ``'bfloat16'``, ``'float16'`` or ``'float32'``.
        reason: A few words for the log.
    """

    dtype: str
    reason: str


def default_device() -> str:
    """Return the device that MMEngine's Runner chooses on this machine, such as ``'cuda'``."""
    device = get_device()
    if device not in ('cpu', 'cuda'):
        return device
    return 'cuda' if torch.cuda.is_available() else 'cpu'


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


def best_precision(device: str | torch.device) -> Precision:
    """Return the type of numbers in which networks run fastest on a device.

    bfloat16 where there are units for it: on CPUs AMX, AVX512-BF16 or ARM's BF16,
    and on GPUs of CUDA capability 8 or above. float16 on older GPUs, where training
    needs a gradient scaler. float32 everywhere else. Nothing is measured: a small network
    on a fast GPU may be faster in float32.

    ``ATEN_CPU_CAPABILITY`` and ``ONEDNN_MAX_CPU_ISA`` below AVX512-BF16 mean that
    there are no units, as they do for torch and oneDNN.

    Args:
        device: A torch device or its name, such as ``'cpu'`` or ``'cuda:1'``.
    """
    kind = _kind(device)
    if kind == 'cpu':
        return _best_of_cpu()
    if kind == 'cuda':
        major, minor = torch.cuda.get_device_capability(torch.device(device))
        reason = f'this GPU has CUDA capability {major}.{minor}'
        if major >= 8:
            return Precision('bfloat16', reason)
        return Precision('float16', f'{reason}, and bfloat16 needs 8.0')
    return Precision('float32', f'nothing is known of 16 bits on the device {kind!r}')


def resolve_precision(
    wanted: str | None, device: str | torch.device, scaled: bool = True, log: bool = True
) -> str:
    """Return the type of numbers to compute in, and log once how it was chosen.

    Args:
        wanted: One of :data:`PRECISIONS`, or None for float32. A type is taken as
            given, with one warning where it is slower than float32; ``'auto'`` takes that of
            :func:`best_precision`.
        device: Device of the network.
        scaled: Gradients are scaled, or there are none. If False, ``'auto'`` takes
            float32 in place of float16.
        log: Log the choice.

    Returns:
        ``'bfloat16'``, ``'float16'`` or ``'float32'``.

    Raises:
        ValueError: The wanted type is unknown.
    """
    checked = check_precision(wanted)
    kind = _kind(device)
    if checked is None:
        return 'float32'
    if checked != 'auto':
        reason = _slower(checked, device)
        if reason is not None and log:
            say_once(
                f'{checked} on the device {kind!r} is slower than float32: {reason}; '
                "'auto' chooses by the units that the device has",
                logging.WARNING,
            )
        return checked
    dtype, reason = best_precision(device)
    if dtype == 'float16' and not scaled:
        dtype = 'float32'
        reason += (
            '; training in float16 needs optim_wrapper=dict(type="AmpOptimWrapper", '
            'loss_scale="dynamic", dtype="float16")'
        )
    if log:
        say_once(f"Computing in {dtype} on the device {kind!r} ('auto'): {reason}")
    return dtype


def resolve_precisions(
    wanted: Iterable[str | None], device: str | torch.device, log: bool = True
) -> str | list[str]:
    """Return :func:`resolve_precision` of several networks: one type if all agree."""
    found = [resolve_precision(one, device, log=log) for one in wanted]
    return found[0] if len(set(found)) == 1 else found


def check_precision(wanted: str | None) -> str | None:
    """Return the name of a type, None for float32.

    Raises:
        ValueError: It is none of :data:`PRECISIONS`.
    """
    if wanted is not None and wanted not in PRECISIONS:
        raise ValueError(
            f'autocast must be None or one of {", ".join(map(repr, PRECISIONS))}, got {wanted!r}'
        )
    return None if wanted == 'float32' else wanted


def autocast(dtype: str, device: str | torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return a context that runs networks in a type; that of float32 changes nothing."""
    if dtype == 'float32':
        return contextlib.nullcontext()
    return torch.autocast(_kind(device), dtype=getattr(torch, dtype))


def surrounding_autocast(device: str | torch.device) -> str | None:
    """Return the type of the ``torch.autocast`` that is in force on a device, or None."""
    kind = _kind(device)
    # Asking about a device that has no autocast is an error.
    with contextlib.suppress(RuntimeError):
        if torch.is_autocast_enabled(kind):
            return str(torch.get_autocast_dtype(kind)).removeprefix('torch.')
    return None


def say_once(message: str, level: int = logging.INFO) -> None:
    """Log a message, unless this process has logged the same before."""
    if message not in _said:
        _said.add(message)
        print_log(message, logger='current', level=level)


def _kind(device: str | torch.device) -> str:
    return str(device).split(':')[0]


def _best_of_cpu() -> Precision:
    mkldnn: Any = torch.backends.mkldnn
    if not (mkldnn.is_available() and mkldnn.enabled):
        return Precision('float32', 'this torch computes without oneDNN on the CPU')
    machine = platform.machine().lower()
    if machine in _ARM_MACHINES:
        if sys.platform != 'darwin' and _arm_has_units():
            return Precision('bfloat16', 'this CPU has bfloat16 units (ARM BF16)')
        return Precision('float32', 'this CPU has no bfloat16 units that torch uses (ARM)')
    # The units that torch's own kernels use, which ATEN_CPU_CAPABILITY limits.
    used = torch.backends.cpu.get_cpu_capability()
    if not used.startswith(('AVX512', 'AVX10')):
        return Precision('float32', f'this CPU has no bfloat16 units ({used})')
    unused = limit()
    if unused is not None:
        return Precision('float32', f'{unused} leaves bfloat16 units unused')
    units = _x86_units()
    if units:
        return Precision('bfloat16', f'this CPU has bfloat16 units ({", ".join(units)})')
    return Precision('float32', f'this CPU has no bfloat16 units ({used})')


def _x86_units() -> list[str]:
    """Return the names of the units that this CPU has, from the best source available."""
    known = _capabilities()
    if known is None and hasattr(torch.cpu, '_is_avx512_bf16_supported'):
        amx = getattr(torch.cpu, '_is_amx_tile_supported', lambda: 'amx_bf16' in features())
        known = {
            'amx_bf16': bool(amx()),
            'avx512_bf16': bool(torch.cpu._is_avx512_bf16_supported()),
        }
    if known is None:
        known = dict.fromkeys(features(), True)
    return [name for key, name in UNITS.items() if known.get(key)]


def _arm_has_units() -> bool:
    known = _capabilities()
    if known is not None:
        return bool(known.get('bf16'))
    with contextlib.suppress(AttributeError, RuntimeError):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return 'bf16' in features()


def _capabilities() -> dict[str, Any] | None:
    """Return torch's description of the CPU; None where torch is too old to have one."""
    if not hasattr(torch.cpu, 'get_capabilities'):
        return None
    return dict(torch.cpu.get_capabilities())


def _slower(dtype: str, device: str | torch.device) -> str | None:
    """Return why a 16-bit type is slower than float32 on a device, or None."""
    kind = _kind(device)
    if kind == 'cpu' and dtype == 'float16':
        return 'CPUs are made for bfloat16 or float32'
    if kind in ('cpu', 'cuda') and dtype == 'bfloat16':
        best = best_precision(device)
        return None if best.dtype == dtype else best.reason
    return None
