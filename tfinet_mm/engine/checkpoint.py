"""Read checkpoints without running anybody's code.

A checkpoint is a pickle, and a pickle can run any code when it is read.
:func:`load_checkpoint_file` therefore reads with torch's ``weights_only``, to
which the few further types that MMEngine stores are allowed by name. A file
that holds more is refused with the name of what it holds. MMEngine itself reads
this way too, see :mod:`tfinet_mm.engine.checkpoint_io`.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINVAL
from logging import WARNING
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, print_log

from tfinet_mm.errors import DamagedCheckpointError, UntrustedCheckpointError

TRUST_VARIABLE = 'TFINET_TRUST_CHECKPOINT'
"""Environment variable that, set to 1, lets checkpoints run code when read."""

HISTORY_METHODS = ('min', 'max', 'current', 'mean')
TORN = ('PytorchStreamReader', 'unexpected EOF', 'wrong byte size', 'unexpected pos')
PLAIN_DTYPE = re.compile(r'[<>=|]?[biufcSU?]\d*')

Location = str | torch.device | Callable[..., Any] | dict[str, str] | None


def trust_checkpoints(trust: bool = True) -> None:
    """Say for this process and those it starts whether checkpoints may run code."""
    os.environ[TRUST_VARIABLE] = '1' if trust else '0'


def checkpoints_trusted() -> bool:
    """Whether ``TFINET_TRUST_CHECKPOINT`` says that checkpoints may run code."""
    return os.environ.get(TRUST_VARIABLE, '').lower() in ('1', 'true', 'yes', 'on')


def load_checkpoint_file(
    file: str | os.PathLike[str] | BinaryIO, map_location: Location = None
) -> Any:
    """Read a checkpoint without running code from it.

    Args:
        file: Path of the file, or an open binary file.
        map_location: Where tensors go, as :func:`torch.load` takes it.

    Returns:
        What was saved, usually a dictionary.

    Raises:
        FileNotFoundError: There is no such file.
        UntrustedCheckpointError: The file holds more than tensors, plain
            Python values and the types that MMEngine stores.
        DamagedCheckpointError: The file is cut off or isn't a checkpoint.
    """
    if isinstance(file, str | os.PathLike):
        file = Path(file).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f'there is no checkpoint {file}')
    with reading_safely(str(file) if isinstance(file, Path) else 'the checkpoint') as weights_only:
        return torch.load(file, map_location=map_location, weights_only=weights_only)


@contextmanager
def reading_safely(name: str) -> Iterator[bool]:
    """Allow what MMEngine stores, and turn torch's errors into ones that say what to do.

    Args:
        name: What is read, for messages.

    Yields:
        The value for the ``weights_only`` of torch's functions.

    Raises:
        UntrustedCheckpointError, DamagedCheckpointError: See
            :func:`load_checkpoint_file`.
    """
    trusted = checkpoints_trusted()
    if trusted:
        print_log(f'{TRUST_VARIABLE} is set: {name} may run code', 'current', WARNING)
    try:
        with torch.serialization.safe_globals([] if trusted else _allowed()):
            yield not trusted
    except UnpicklingError as error:
        reason = _refused(str(error))
        if reason is None:
            raise _damaged(name, error) from error
        raise UntrustedCheckpointError(
            f'{name} holds {reason}, but a checkpoint is read only when it holds nothing but '
            'tensors, numbers, text and the types MMEngine stores, since anything else could run '
            'code on this machine. Where you trust its origin, read it with the option '
            f'--trust-checkpoint of the tools, or with {TRUST_VARIABLE}=1 in the environment'
        ) from None
    except (EOFError, IndexError, KeyError, UnicodeDecodeError, struct.error) as error:
        raise _damaged(name, error) from error
    except (RuntimeError, OSError) as error:
        # torch reports an archive that is cut off as an invalid argument of a seek.
        if getattr(error, 'errno', None) == EINVAL or any(part in str(error) for part in TORN):
            raise _damaged(name, error) from error
        raise


def _damaged(name: str, error: BaseException) -> DamagedCheckpointError:
    """The error for a file that ends too early or is something else."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return DamagedCheckpointError(
        f'{name} is cut off, or is no checkpoint ({lines[-1].strip()}); '
        'use another one, or copy or download it again'
    )


def _refused(message: str) -> str | None:
    """Which object made torch refuse a file, or None where that was not the reason."""
    if match := re.search(r'GLOBAL (\S+)', message):
        return match.group(1)
    for pattern in (
        r'refused: (.+)',
        r'unrecognized function (.+)',
        r'new object for .* but got (.+)',
        r'Can only build .* but got (.+)',
    ):
        if match := re.search(pattern, message):
            return match.group(1).strip()
    return None


def _history_method(owner: Any, name: str) -> Callable[..., Any]:
    """Stand-in for ``getattr``, by which a pickled HistoryBuffer names its four statistics."""
    if owner is not HistoryBuffer or name not in HISTORY_METHODS:
        raise UnpicklingError(f'refused: getattr({owner}, {name!r})')
    return getattr(HistoryBuffer, name)


def _plain_dtype(code: str, *arguments: Any) -> np.dtype:
    """Stand-in for ``numpy.dtype``: numbers and text, no objects and no records."""
    if not isinstance(code, str) or not PLAIN_DTYPE.fullmatch(code):
        raise UnpicklingError(f'refused: a numpy array of type {code!r}')
    return np.dtype(code, *arguments)


def _allowed() -> list[Any]:
    """What may be in a checkpoint besides what torch allows: what MMEngine stores."""
    multiarray = getattr(np, '_core', None) or np.core
    functions: dict[str, Callable[..., Any]] = {
        'builtins.getattr': _history_method,
        'builtins.slice': slice,
        'numpy.dtype': _plain_dtype,
    }
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        functions[f'{module}._reconstruct'] = multiarray.multiarray._reconstruct
        functions[f'{module}.scalar'] = multiarray.multiarray.scalar
    allowed = [_under_name(path, function) for path, function in functions.items()]
    allowed += {type(np.dtype(code)) for code in ('?', *'bBhHiIlLqQefdgFDGSU')}
    return [*allowed, np.ndarray, HistoryBuffer, ConfigDict]


def _under_name(path: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that pickles name ``path``, in the one way that every torch understands."""

    def stand_in(*arguments: Any) -> Any:
        return function(*arguments)

    stand_in.__module__, _, name = path.rpartition('.')
    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in
