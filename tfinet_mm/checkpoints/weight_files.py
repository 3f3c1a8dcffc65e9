"""Read and write files of weights that name their network.

Such a file is a safetensors file, which runs no code when it is read. The metadata
in its head are texts::

    format              pt, as other programs write it
    tfinet_mm_format    number of this format: 1
    tfinet_mm_version   version of the package that wrote it
    license             an SPDX identifier, where the writer stated one
    config              JSON: model, test_pipeline and other keys that predicting needs
    dataset_meta        JSON: semantic_classes and semantic_palette, unchanged first
    training            JSON: epoch, iter; trained_roles where change alone was trained;
                        change_calibrations where P(changed) was calibrated
    sha256              hash of all tensors, see `digest`
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tfinet_mm.checkpoints.archives import damaged
from tfinet_mm.checkpoints.pickles import Location
from tfinet_mm.errors import DamagedCheckpointError, NotFiniteWeightsError
from tfinet_mm.structures import ClassTable
from tfinet_mm.version import __version__

FORMAT = 1
FORMAT_KEY = 'tfinet_mm_format'
DTYPES = {'float16': torch.float16, 'bfloat16': torch.bfloat16, 'float32': torch.float32}
"""Types that weights are stored in, by name."""
LONGEST_HEAD = 100_000_000
"""Greatest number of bytes of a head; safetensors refuses more."""


def is_weight_file(file: BinaryIO) -> bool:
    """Return whether an open file, which is left at its beginning, has this format."""
    try:
        return FORMAT_KEY in _metadata(file)
    finally:
        file.seek(0)


def read_weight_file(file: BinaryIO, name: str, map_location: Location = None) -> dict[str, Any]:
    """Read a file of weights as the checkpoint of a training.

    Args:
        file: An open binary file for which :func:`is_weight_file` is true.
        name: Its name in messages.
        map_location: A device; anything else that :func:`torch.load` takes means the CPU.

    Returns:
        ``state_dict``, its real numbers float32, and ``meta``: ``cfg`` (a dictionary),
        ``dataset_meta``, ``tfinet_mm_format``, ``tfinet_mm_version``, ``license`` (or
        None), and the values of ``training``.

    Raises:
        DamagedCheckpointError: The file is cut off or was changed, or a newer version
            wrote it.
    """
    metadata = _metadata(file)
    file.seek(0)
    if metadata[FORMAT_KEY] != str(FORMAT):
        raise DamagedCheckpointError(
            f'{name} has format {metadata[FORMAT_KEY]} of files of weights, this version '
            f'({__version__}) reads format {FORMAT}; install the version that wrote it '
            f'({metadata.get("tfinet_mm_version")}) or a newer one'
        )
    try:
        config, training = json.loads(metadata['config']), json.loads(metadata['training'])
        table = ClassTable.from_metainfo(json.loads(metadata['dataset_meta']))
        version, expected = metadata['tfinet_mm_version'], metadata['sha256']
        weights = load(file.read())
    except (KeyError, ValueError, TypeError, RecursionError, SafetensorError) as error:
        raise damaged(name, f'{type(error).__name__}: {error}') from None
    model = config.get('model') if isinstance(config, dict) else None
    if not isinstance(model, dict) or not isinstance(training, dict):
        raise damaged(name, 'config, its model, and training must be JSON dictionaries')
    if digest(weights) != expected:
        raise damaged(name, 'the hash of its weights is not the one in its head')
    device = map_location if isinstance(map_location, str | torch.device) else 'cpu'
    for key, value in weights.items():
        dtype = torch.float32 if value.dtype in DTYPES.values() else value.dtype
        weights[key] = value.to(device, dtype)
    return dict(
        meta=dict(
            **training,
            cfg=config,
            **{FORMAT_KEY: FORMAT},
            dataset_meta=table.metainfo(),
            tfinet_mm_version=version,
            license=metadata.get('license'),
        ),
        state_dict=weights,
    )


def write_weight_file(
    path: str | os.PathLike[str],
    weights: Mapping[str, Tensor],
    config: Mapping[str, Any],
    table: ClassTable,
    training: Mapping[str, Any],
    dtype: str = 'float16',
    license: str | None = None,
) -> None:
    """Write a file of weights.

    Args:
        path: The file; an existing one is replaced.
        weights: Tensors by key; real numbers are stored as ``dtype``, others as they are.
        config: Config of the network, in plain values that JSON has.
        table: Names and colours of the classes.
        training: Facts of the training, such as ``epoch``.
        dtype: A key of :data:`DTYPES`.
        license: SPDX identifier of the licence of the weights, where there is one.

    Raises:
        NotFiniteWeightsError: A weight is too large for the type.
        ValueError: JSON has no form for a value of ``config``, ``table`` or ``training``.
    """
    kind = DTYPES[dtype]
    stored = {
        key: value.detach().cpu().to(kind if value.is_floating_point() else value.dtype)
        for key, value in weights.items()
    }
    large = [key for key, value in stored.items() if not bool(torch.isfinite(value).all())]
    if large:
        raise NotFiniteWeightsError(
            f'{large[0]} and {len(large) - 1} more weights are too large for {dtype}, or not '
            'finite; write them with --dtype float32'
        )
    # safetensors refuses views and tensors that share memory.
    stored = {
        key: value.clone(memory_format=torch.contiguous_format) for key, value in stored.items()
    }
    plain = table.metainfo()
    metadata = {
        'format': 'pt',
        FORMAT_KEY: str(FORMAT),
        'tfinet_mm_version': __version__,
        'config': _json(config),
        'dataset_meta': _json(
            {key: plain[key] for key in ('semantic_classes', 'semantic_palette')}
        ),
        'training': _json(training),
        'sha256': digest(stored),
    }
    if license is not None:
        metadata['license'] = license
    # safetensors' own writer makes files that only their owner can read.
    Path(path).write_bytes(save(stored, metadata))


def digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of key, type, shape and bytes of each weight, in the order of keys."""
    found = hashlib.sha256()
    for key in sorted(weights):
        value = weights[key].contiguous()
        found.update(f'{key} {value.dtype} {tuple(value.shape)}\n'.encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _metadata(file: BinaryIO) -> dict[str, str]:
    """Return the texts in the head of a safetensors file; nothing of any other file."""
    file.seek(0)
    head = file.read(9)
    length = int.from_bytes(head[:8], 'little')
    if head[8:] != b'{' or length > LONGEST_HEAD:
        return {}
    try:
        found = json.loads(head[8:] + file.read(length - 1))['__metadata__']
    except (ValueError, KeyError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
