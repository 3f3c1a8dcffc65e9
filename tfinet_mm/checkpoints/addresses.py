"""Read checkpoints from any address that MMEngine knows, without running code from them."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import torch
from mmengine.fileio import get_file_backend
from mmengine.logging import print_log
from mmengine.runner import checkpoint as mmengine_checkpoint

from tfinet_mm.checkpoints.contents import check_contents
from tfinet_mm.checkpoints.packages import PACKAGES, packaged_file
from tfinet_mm.checkpoints.pickles import Location
from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.checkpoints.shipped import checkpoint_path
from tfinet_mm.errors import MissingExtraError, UntrustedCheckpointError
from tfinet_mm.utils.dist import read_once
from tfinet_mm.utils.files import whole_file

SCHEME = 'tfinet-mm://'
"""Prefix of an address that makes MMEngine's CheckpointLoader read it with this module."""


def read_checkpoint(
    address: str | os.PathLike[str], map_location: Location = 'cpu', logger: Any = None
) -> dict[str, Any]:
    """Read a checkpoint without running code from it.

    Args:
        address: A path, or ``http://``, ``https://``, ``open-mmlab://``,
            ``torchvision://``, ``mmcls://``, ``s3://`` or ``petrel://``, or the
            name of weights in an installed package, such as ``efficientnet_lite0``.
        map_location: Device of the tensors, as :func:`torch.load` takes it. Where
            one rank reads for all (:func:`~tfinet_mm.utils.dist.one_rank_reads`),
            they stay on the CPU.
        logger: Logger for the address, as MMEngine's ``print_log`` takes it.

    Returns:
        A dictionary; its weights are finite.

    Raises:
        FileNotFoundError: There is no such file or address.
        MissingExtraError: The package that brings the weights isn't installed.
        UntrustedCheckpointError: It holds more than tensors, plain Python values
            and the types that MMEngine stores.
        DamagedCheckpointError: It is cut off, changed or isn't a checkpoint.
        NotFiniteWeightsError: A weight is NaN or infinite.
    """
    name = plain_address(os.fspath(address))
    print_log(f'Reading the checkpoint {name}', logger)

    def read() -> dict[str, Any]:
        return check_contents(_reader(name)(name, map_location), name)

    def read_for_all() -> dict[str, Any]:
        return check_contents(_reader(name)(name, 'cpu'), name)

    return read_once(read, read_for_all)


def existing_checkpoint(name: str) -> str:
    """Check that a checkpoint exists, before minutes are spent on data and model.

    Args:
        name: Path, name of shipped weights, or an address such as ``https://...`` or
            ``open-mmlab://...``.

    Returns:
        The name.

    Raises:
        FileNotFoundError: It is no address, and there is no such file.
    """
    if '://' not in name:
        read_once(lambda: checkpoint_path(name))
    return name


def plain_address(address: str) -> str:
    """Return an address as users know it, without :data:`SCHEME`."""
    return address.removeprefix(SCHEME)


def _reader(name: str) -> Callable[[str, Location], Any]:
    """Return the function that reads an address, by the same patterns as MMEngine's."""
    if name in PACKAGES:
        return _read_packaged
    readers: dict[str, Callable[[str, Location], Any]] = {
        'https?://': _read_url,
        '(open-mmlab|openmmlab)://': _read_openmmlab,
        '(torchvision|modelzoo)://': _read_torchvision,
        'mmcls://': _read_mmcls,
        r'(\S+:)?(s3|petrel)://': _read_ceph,
        'pavi://': _refuse_pavi,
    }
    for pattern, reader in readers.items():
        if re.match(pattern, name):
            return reader
    return load_checkpoint_file


def _read_url(name: str, map_location: Location) -> Any:
    """Download a file once into the cache of :mod:`torch.hub`, and read it."""
    file = Path(torch.hub.get_dir()) / 'checkpoints' / _stored_name(name)
    if not file.exists():
        print_log(f'Downloading {name} to {file}', 'current')
        try:
            with whole_file(file) as partial:
                torch.hub.download_url_to_file(name, str(partial), progress=False)
        except OSError as error:
            raise FileNotFoundError(
                f'{name} can not be downloaded ({error}); check the address and the connection, or '
                'give the path of a file'
            ) from error
    return load_checkpoint_file(file, map_location)


def _stored_name(address: str) -> str:
    """Name the file that an address is stored in, a different one for each address.

    A name with a hash, as published weights have, is that of torch.hub, whose files
    are shared. Any other (``model.pth``) may belong to many addresses.
    """
    try:
        path = Path(os.path.basename(unquote(urlparse(address).path)))
    except ValueError as error:
        raise FileNotFoundError(f'{address} is no address of a checkpoint: {error}') from error
    if not path.name:
        raise FileNotFoundError(f'{address} is no address of a checkpoint: it names no file')
    if re.search(r'-[0-9a-f]{8,}$', path.stem):
        return path.name
    return f'{path.stem}-{hashlib.sha256(address.encode()).hexdigest()[:12]}{path.suffix}'


def _read_packaged(name: str, map_location: Location) -> Any:
    return load_checkpoint_file(packaged_file(name), map_location)


def _read_openmmlab(name: str, map_location: Location) -> Any:
    model = name.partition('://')[2]
    model = mmengine_checkpoint.get_deprecated_model_names().get(model, model)
    return _read_named(model, mmengine_checkpoint.get_external_models(), map_location)


def _read_torchvision(name: str, map_location: Location) -> Any:
    try:
        addresses = mmengine_checkpoint.get_torchvision_models()
    except ImportError as error:
        raise MissingExtraError(
            f'{name} needs torchvision, which lists its models: {error}. Install torchvision, '
            'or give the path of a file'
        ) from error
    return _read_named(name.partition('://')[2], addresses, map_location)


def _read_mmcls(name: str, map_location: Location) -> Any:
    """Read the backbone of a classifier."""
    addresses = mmengine_checkpoint.get_mmcls_models()
    checkpoint = check_contents(
        _read_named(name.partition('://')[2], addresses, map_location), name
    )
    weights = checkpoint.get('state_dict', checkpoint)
    prefix = 'backbone.'
    return dict(
        state_dict={
            key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)
        }
    )


def _read_ceph(name: str, map_location: Location) -> Any:
    try:
        backend = get_file_backend(name, backend_args={'backend': 'petrel'})
    except ImportError as error:
        raise MissingExtraError(f'{name} needs the client of its storage: {error}') from error
    with io.BytesIO(backend.get(name)) as buffer:
        return load_checkpoint_file(buffer, map_location, name)


def _refuse_pavi(name: str, map_location: Location) -> Any:
    """Refuse ``pavi://``, whose client would unpickle freely."""
    raise UntrustedCheckpointError(
        f'{name} can be read only by unpickling freely, which could run code; download the file '
        'and give its path'
    )


def _read_named(name: str, addresses: dict[str, str], map_location: Location) -> Any:
    """Read one of the models that MMEngine knows by name."""
    if name not in addresses:
        near = sorted(key for key in addresses if name.split('/')[-1][:6] in key)[:8]
        raise FileNotFoundError(
            f'no pretrained model is called {name!r}; '
            f'{"similar names: " + ", ".join(near) if near else "give a path or a URL instead"}'
        )
    address = addresses[name]
    if address.startswith(('http://', 'https://')):
        return _read_url(address, map_location)
    home = os.getenv('MMENGINE_HOME') or os.path.join(
        os.getenv('XDG_CACHE_HOME', '~/.cache'), 'mmengine'
    )
    return load_checkpoint_file(os.path.join(home, address), map_location)
