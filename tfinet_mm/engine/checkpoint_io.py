"""Make MMEngine read checkpoints safely and write them whole.

:func:`register_checkpoint_io` puts :func:`~tfinet_mm.engine.checkpoint.load_checkpoint_file`
in place of MMEngine's own loaders, and a local file backend that replaces files
only by whole ones, through MMEngine's public registration functions. So
``load_from``, ``resume`` and ``init_cfg=dict(type='Pretrained', ...)`` all use
it. :mod:`tfinet_mm.registry` calls it, and MMEngine imports that module as soon
as it meets a ``tfinet_mm.`` in a config, whichever tool it was started from.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint

from tfinet_mm.engine.checkpoint import Location, load_checkpoint_file, reading_safely
from tfinet_mm.errors import UntrustedCheckpointError


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
        with reading_safely(filename) as weights_only:
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
