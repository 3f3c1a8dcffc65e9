"""Unpickle tensors and plain values, with an allow-list for this package alone.

torch keeps one list of allowed types for the whole process. Adding a type to it lets
every other ``torch.load`` accept that type, and taking it off again breaks the reads
of other threads. So a second instance of torch's restricted unpickler is made, with a
separate list.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import threading
from collections.abc import Callable
from pickle import UnpicklingError
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

HISTORY_METHODS = ('min', 'max', 'current', 'mean')
PLAIN_DTYPE = re.compile(r'[<>=|]?[biufcSU?]\d*')
FORCE_VARIABLE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'

Location = str | torch.device | Callable[..., Any] | dict[str, str] | None

_one_at_a_time = threading.Lock()


def load_plain(file: BinaryIO, map_location: Location = None) -> Any:
    """Read a file of :func:`torch.save` with tensors, plain values and types of MMEngine only.

    Args:
        file: An open binary file; neither a tar nor a TorchScript archive, which
            torch would read without the restrictions.
        map_location: Device of the tensors, as :func:`torch.load` takes it.

    Returns:
        The saved object.

    Raises:
        pickle.UnpicklingError: The file holds something else.
    """
    unpickler = _private_unpickler()
    if unpickler is None or _forced():
        return _load_in_turn(file, map_location)
    # With weights_only, torch passes the first instance of this module in the same way.
    return torch.load(
        file, map_location=map_location, pickle_module=unpickler, weights_only=False, mmap=False
    )


def _forced() -> bool:
    """Return whether the environment makes torch refuse any ``pickle_module``."""
    return os.environ.get(FORCE_VARIABLE, '0').lower() in ('1', 'y', 'yes', 'true')


def _load_in_turn(file: BinaryIO, map_location: Location) -> Any:
    """Read with torch's own list, changed for the time of one read."""
    with _one_at_a_time:
        known = torch.serialization.get_safe_globals()
        added = [kind for kind in _allowed() if kind not in known]
        with torch.serialization.safe_globals(added):
            return torch.load(file, map_location=map_location, weights_only=True, mmap=False)


@functools.cache
def _private_unpickler() -> ModuleType | None:
    """Return a second instance of ``torch._weights_only_unpickler``; None where torch has none.

    Two threads that come here at once get one each, which does no harm.
    """
    spec = importlib.util.find_spec('torch._weights_only_unpickler')
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, 'Unpickler') or not hasattr(module, '_get_user_allowed_globals'):
        return None
    module._add_safe_globals(list(_allowed()))  # type: ignore[attr-defined, unused-ignore]
    allowed = module._get_user_allowed_globals()
    # torch rebuilds this dictionary for every tensor.
    module._get_user_allowed_globals = lambda: allowed  # type: ignore[attr-defined, unused-ignore]
    return module


def _history_method(owner: Any, name: str) -> Callable[..., Any]:
    """Replace ``getattr``, by which a pickled HistoryBuffer names its four statistics."""
    if owner is not HistoryBuffer or name not in HISTORY_METHODS:
        raise UnpicklingError(f'refused: getattr({owner}, {name!r})')
    return getattr(HistoryBuffer, name)


def _plain_dtype(code: str, *arguments: Any) -> np.dtype:
    """Replace ``numpy.dtype``: allow numbers and text, no objects and no records."""
    if not isinstance(code, str) or not PLAIN_DTYPE.fullmatch(code):
        raise UnpicklingError(f'refused: a numpy array of type {code!r}')
    return np.dtype(code, *arguments)


@functools.cache
def _allowed() -> tuple[Any, ...]:
    """Return the types of MMEngine that a checkpoint may hold besides those torch allows."""
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
    return (*allowed, np.ndarray, HistoryBuffer, ConfigDict)


def _under_name(path: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Name a function ``path`` in the one way that every torch understands."""

    def stand_in(*arguments: Any) -> Any:
        return function(*arguments)

    stand_in.__module__, _, name = path.rpartition('.')
    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in
