"""Checkpoints: read without running anybody's code, written whole or not at all.

A checkpoint is a pickle, and a pickle can run any code when it is read.
:func:`load_checkpoint_file` therefore reads with torch's ``weights_only``, to
which the few further types that MMEngine stores are allowed by name. A file
that holds more is refused with the name of what it holds.

:func:`register_checkpoint_io` puts this in place of MMEngine's own loaders and
local file backend, through MMEngine's public registration functions, so that
``load_from``, ``resume`` and ``init_cfg=dict(type='Pretrained', ...)`` all use
it. :mod:`tfinet_mm.registry` calls it, and MMEngine imports that module as soon
as it meets a ``tfinet_mm.`` in a config, whichever tool it was started from.
"""

from __future__ import annotations

import io
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
from mmengine.dist import barrier, get_dist_info
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint

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
    with _reading(str(file) if isinstance(file, Path) else 'the checkpoint') as weights_only:
        return torch.load(file, map_location=map_location, weights_only=weights_only)


@contextmanager
def _reading(name: str) -> Iterator[bool]:
    """Allow what MMEngine stores, and turn torch's errors into ones that say what to do.

    Yields:
        The value for torch's ``weights_only``.
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
    functions = {
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


def load_from_local(filename: str, map_location: Location = None) -> Any:
    """MMEngine's loader of local files, see :func:`load_checkpoint_file`."""
    return load_checkpoint_file(filename, map_location)


def load_from_http(
    filename: str,
    map_location: Location = None,
    model_dir: str | None = None,
    progress: bool = True,
) -> Any:
    """MMEngine's loader of URLs: downloaded once by the first rank, read like a local file."""

    def read() -> Any:
        with _reading(filename) as weights_only:
            return torch.hub.load_state_dict_from_url(
                filename,
                model_dir=model_dir,
                map_location=map_location,
                progress=progress,
                weights_only=weights_only,
            )

    rank, _ = get_dist_info()
    checkpoint = read() if rank == 0 else None
    barrier()
    return checkpoint if rank == 0 else read()


def load_from_openmmlab(filename: str, map_location: Location = None) -> Any:
    """MMEngine's loader of ``open-mmlab://name``."""
    name = filename.partition('://')[2]
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    return _load_named(name, mmengine_checkpoint.get_external_models(), map_location)


def load_from_torchvision(filename: str, map_location: Location = None) -> Any:
    """MMEngine's loader of ``torchvision://name``."""
    name = filename.partition('://')[2]
    return _load_named(name, mmengine_checkpoint.get_torchvision_models(), map_location)


def load_from_mmcls(filename: str, map_location: Location = None) -> Any:
    """MMEngine's loader of ``mmcls://name``: the backbone of a classifier."""
    name = filename.partition('://')[2]
    checkpoint = _load_named(name, mmengine_checkpoint.get_mmcls_models(), map_location)
    weights = checkpoint.get('state_dict', checkpoint)
    prefix = 'backbone.'
    return dict(
        state_dict={
            key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)
        }
    )


def load_from_ceph(filename: str, map_location: Location = None) -> Any:
    """MMEngine's loader of ``s3://`` and ``petrel://`` addresses."""
    backend = get_file_backend(filename, backend_args={'backend': 'petrel'})
    with io.BytesIO(backend.get(filename)) as buffer:
        return load_checkpoint_file(buffer, map_location)


def load_from_pavi(filename: str, map_location: Location = None) -> Any:
    """Refuse ``pavi://``, whose client would unpickle freely."""
    raise UntrustedCheckpointError(
        f'{filename} can be read only by unpickling freely; download it and give its path'
    )


def _load_named(name: str, addresses: dict[str, str], map_location: Location) -> Any:
    """Load one of the models MMEngine knows by name."""
    if name not in addresses:
        near = sorted(key for key in addresses if name.split('/')[-1][:6] in key)[:8]
        raise KeyError(
            f'no pretrained model is called {name!r}; '
            f'{"similar names: " + ", ".join(near) if near else "give a path or a URL instead"}'
        )
    address = addresses[name]
    if address.startswith(('http://', 'https://')):
        return load_from_http(address, map_location)
    home = os.getenv('MMENGINE_HOME') or os.path.join(
        os.getenv('XDG_CACHE_HOME', '~/.cache'), 'mmengine'
    )
    return load_checkpoint_file(os.path.join(home, address), map_location)


class WholeFileBackend(LocalBackend):
    """The local file system, on which a file is replaced only by a whole new one.

    A run killed while it saves then leaves the checkpoint that was there, and
    at most one file ``.NAME.part`` beside it, which the next save overwrites.
    """

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write bytes to a file, all of them or none.

        Args:
            obj: The bytes.
            filepath: The file; its folder is made if missing.
        """
        target = Path(os.path.realpath(filepath))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f'.{target.name}.part')
        try:
            with part.open('wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def register_checkpoint_io() -> None:
    """Make MMEngine read and write checkpoints as this module does; may be called again."""
    for prefixes, loader in (
        ('', load_from_local),
        (('http://', 'https://'), load_from_http),
        (('open-mmlab://', 'openmmlab://'), load_from_openmmlab),
        (('torchvision://', 'modelzoo://'), load_from_torchvision),
        ('mmcls://', load_from_mmcls),
        ((r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_ceph),
        ('pavi://', load_from_pavi),
    ):
        CheckpointLoader.register_scheme(prefixes=prefixes, loader=loader, force=True)
    register_backend('local', WholeFileBackend, force=True, prefixes='')
