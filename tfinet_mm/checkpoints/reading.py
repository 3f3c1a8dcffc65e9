"""Read checkpoints without running anybody's code.

A checkpoint is a pickle, and a pickle can run any code when it is read.
:func:`load_checkpoint_file` therefore reads with torch's restricted unpickler, which
for this package alone also allows the few types that MMEngine stores. A file with
any other type is refused, and the error names that type.
:func:`~tfinet_mm.checkpoints.addresses.read_checkpoint` reads addresses too.
"""

from __future__ import annotations

import os
import re
import struct
from errno import EINVAL
from logging import WARNING
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch
from mmengine.logging import print_log

from tfinet_mm.checkpoints.archives import check_archive, damaged
from tfinet_mm.checkpoints.pickles import Location, load_plain
from tfinet_mm.checkpoints.shipped import checkpoint_path
from tfinet_mm.checkpoints.trust import TRUST_VARIABLE, checkpoints_trusted
from tfinet_mm.checkpoints.weight_files import is_weight_file, read_weight_file
from tfinet_mm.errors import DamagedCheckpointError, UntrustedCheckpointError

DAMAGE = (
    *(AssertionError, AttributeError, EOFError, LookupError, OverflowError, RuntimeError),
    *(TypeError, ValueError, struct.error),
)
"""Errors that torch raises on damaged bytes, one or another by chance."""


def load_checkpoint_file(
    file: str | os.PathLike[str] | BinaryIO,
    map_location: Location = None,
    name: str = 'the checkpoint',
) -> Any:
    """Read a checkpoint without running code from it.

    Args:
        file: Path of the file, the name of shipped weights, or an open binary file.
        map_location: Device of the tensors, as :func:`torch.load` takes it.
        name: Name of an open file in messages.

    Returns:
        The saved object, usually a dictionary; for a file of weights that of
        :func:`~tfinet_mm.checkpoints.weight_files.read_weight_file`.

    Raises:
        FileNotFoundError: There is no such file.
        UntrustedCheckpointError: The file holds more than tensors, plain
            Python values and the types that MMEngine stores.
        DamagedCheckpointError: The file is cut off, was changed or isn't a
            checkpoint.
    """
    if isinstance(file, str | os.PathLike):
        path = checkpoint_path(file)
        with path.open('rb') as opened:
            return _read(opened, map_location, str(path))
    return _read(file, map_location, name)


def _read(file: BinaryIO, map_location: Location, name: str) -> Any:
    """Read an open file, and turn torch's errors into ones that say what to do."""
    if is_weight_file(file):
        return read_weight_file(file, name, map_location)
    check_archive(file, name)
    if checkpoints_trusted():
        print_log(f'{TRUST_VARIABLE} is set: {name} may run code', 'current', WARNING)
        try:
            return torch.load(file, map_location=map_location, weights_only=False)
        except (EOFError, UnpicklingError) as error:
            raise _damaged(name, error) from error
    try:
        return load_plain(file, map_location)
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
    except DAMAGE as error:
        # A missing GPU or too little memory is no fault of the file.
        if any(part in str(error) for part in ('map_location', 'memory')):
            raise
        raise _damaged(name, error) from error
    except OSError as error:
        # torch reports a file that is cut off as an invalid argument of a seek.
        if error.errno != EINVAL:
            raise
        raise _damaged(name, error) from error


def _damaged(name: str, error: BaseException) -> DamagedCheckpointError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return damaged(name, lines[-1].strip())


def _refused(message: str) -> str | None:
    """Return the object that made torch refuse a file, or None where that was not the reason."""
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
