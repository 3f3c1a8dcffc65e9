"""Check that a checkpoint holds weights by name, which are tensors of finite numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tfinet_mm.calibration import Calibration, calibrations_of
from tfinet_mm.errors import CheckpointMismatchError, DamagedCheckpointError, NotFiniteWeightsError
from tfinet_mm.structures import ALL_ROLES, CHANGE_ROLE, LAND_COVER_ROLE
from tfinet_mm.utils.command import is_expected, message_of

SHOWN = 4
"""Greatest number of keys that a message lists."""

RESUMABLE = ('meta', 'message_hub', 'state_dict', 'optimizer')
"""Keys of a checkpoint that MMEngine's Runner needs to resume from it."""


ROLES_KEY = 'trained_roles'
"""Key in the ``meta`` of a checkpoint for what it was trained on; both roles without."""
CALIBRATIONS_KEY = 'change_calibrations'
"""Key in the ``meta`` of a checkpoint for a list of calibrations of P(changed)."""


def check_contents(checkpoint: Any, name: str) -> dict[str, Any]:
    """Check that the content of a file is a checkpoint with finite weights.

    Args:
        checkpoint: The content: a state dict, or a dictionary of MMEngine, timm
            or another library that holds one.
        name: Its origin, for messages.

    Returns:
        The checkpoint.

    Raises:
        DamagedCheckpointError: It is something else.
        NotFiniteWeightsError: A weight is NaN or infinite.
    """
    if not isinstance(checkpoint, dict):
        raise _no_dictionary(checkpoint, name)
    for weights in _tables(checkpoint):
        check_finite(weights, name)
        _check_usable(weights, name)
    return checkpoint


def weights_of(checkpoint: Any, name: str) -> dict[str, Tensor]:
    """Take the weights out of a checkpoint.

    Args:
        checkpoint: A state dict, or a dictionary that has one as ``state_dict``.
        name: Its origin, for messages.

    Returns:
        Tensors by key.

    Raises:
        DamagedCheckpointError: There are none, or the values aren't tensors.
    """
    if not isinstance(checkpoint, dict):
        raise _no_dictionary(checkpoint, name)
    stored = checkpoint.get('state_dict', checkpoint)
    where = f'{name}, "state_dict"' if 'state_dict' in checkpoint else name
    if not isinstance(stored, dict):
        raise DamagedCheckpointError(
            f'{where}: found a {type(stored).__name__}, expected the weights by name; give the '
            'file that the training saved'
        )
    for key, value in stored.items():
        if not isinstance(key, str):
            raise DamagedCheckpointError(
                f'{where}: found the key {key!r}, expected the names of weights; give the file '
                'that the training saved'
            )
        # Modules may store more than tensors under this name, see torch.nn.Module.get_extra_state.
        if not isinstance(value, Tensor) and not key.endswith('_extra_state'):
            raise DamagedCheckpointError(
                f'{where}: {key!r} is a {type(value).__name__}, expected a tensor; the weights '
                'must be on their own in the file, or under "state_dict"'
            )
    return stored


def check_finite(weights: Mapping[Any, Any], name: str) -> None:
    """Refuse weights that are NaN or infinite.

    Args:
        weights: Tensors by key; other values, and integers, are skipped.
        name: Their origin, for messages.

    Raises:
        NotFiniteWeightsError: Some are; the message names the first keys.
    """
    bad = not_finite(weights)
    if bad:
        raise NotFiniteWeightsError(
            f'{name}: the weights {listed(bad)} hold NaN or infinity; they must be finite. The '
            'training that made them has diverged: use an older checkpoint, or train again with a '
            'lower learning rate'
        )


def not_finite(weights: Mapping[Any, Any]) -> list[str]:
    """Return the keys of the tensors that hold NaN or infinity."""
    return [str(key) for key, value in weights.items() if not _is_finite(value)]


def check_kinds(own: Mapping[str, Tensor], weights: Mapping[str, Any], name: str) -> None:
    """Refuse weights that are integers or complex where a network has real numbers.

    torch would cast them without a warning. Real numbers of another precision are fine.

    Args:
        own: The network's state dict.
        weights: The checkpoint's.
        name: Origin of the latter, for messages.

    Raises:
        CheckpointMismatchError: Some are; the message names the first keys.
    """
    bad = [
        f'{key} is {value.dtype}, expected {own[key].dtype}'
        for key, value in weights.items()
        if key in own
        and isinstance(value, Tensor)
        and isinstance(own[key], Tensor)
        and own[key].is_floating_point()
        and not value.is_floating_point()
    ]
    if bad:
        raise CheckpointMismatchError(
            f'{name}: weights of another kind of number, {listed(bad)}. A quantised network has to '
            'be stored in floating point first'
        )


def check_resumable(
    checkpoint: Mapping[str, Any], name: str, needed: Sequence[str] = RESUMABLE
) -> None:
    """Refuse a checkpoint that a training can't be resumed from.

    Args:
        checkpoint: The checkpoint as read.
        name: Its origin, for messages.
        needed: Keys that must be there.

    Raises:
        DamagedCheckpointError: A key is missing or isn't a dictionary, or the epoch or the
            iteration isn't a whole number.
        NotFiniteWeightsError: The optimizer's state is NaN or infinite.
    """
    missing = [key for key in needed if key not in checkpoint]
    if missing:
        raise DamagedCheckpointError(
            f'{name} holds no {", ".join(missing)}, which resuming needs; start a new training '
            'from its weights with load_from instead'
        )
    for key in set(needed) - {'state_dict'}:
        if not isinstance(checkpoint[key], dict):
            raise DamagedCheckpointError(
                f'{name}: "{key}" is a {type(checkpoint[key]).__name__}, expected a dictionary; '
                'give the file that the training saved'
            )
    meta = checkpoint.get('meta') if 'meta' in needed else None
    if meta is not None and not all(
        isinstance(meta.get(key, 0), int) and meta.get(key, 0) >= 0 for key in ('epoch', 'iter')
    ):
        raise DamagedCheckpointError(
            f'{name}: epoch and iter in "meta" must be whole numbers from 0 on, got '
            f'{meta.get("epoch")!r} and {meta.get("iter")!r}; give the file that the training saved'
        )
    if 'optimizer' in needed and not _all_finite(checkpoint['optimizer']):
        raise NotFiniteWeightsError(
            f'{name}: the state of the optimizer holds NaN or infinity; resume from an older '
            'checkpoint, or start a new training from these weights with load_from'
        )


@contextlib.contextmanager
def restoring(name: str) -> Iterator[None]:
    """Turn errors of restoring a training's state into one that names the checkpoint.

    Args:
        name: The checkpoint.

    Raises:
        CheckpointMismatchError: A library can't restore the state.
    """
    try:
        yield
    except Exception as error:
        if is_expected(error):
            raise
        raise CheckpointMismatchError(
            f"{name} can't be resumed from: {type(error).__name__}: {message_of(error)}; it is of "
            'another optimizer or schedule, or damaged. Start a new training from its weights '
            'with load_from instead'
        ) from error


def trained_classes(checkpoint: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    """Return the land-cover classes that a checkpoint was trained on.

    Args:
        checkpoint: The checkpoint as read.
        name: Its origin, for messages.

    Returns:
        ``semantic_classes`` and ``semantic_palette`` of the training's data set,
        each None where the checkpoint doesn't say.

    Raises:
        DamagedCheckpointError: The classes aren't a list of names, or the palette isn't a
            list of colours.
    """
    meta = checkpoint.get('meta') or {}
    found = meta.get('dataset_meta') or {} if isinstance(meta, dict) else None
    if not isinstance(found, dict):
        raise DamagedCheckpointError(
            f'{name}: "meta" and its "dataset_meta" must be dictionaries, got a '
            f'{type(meta).__name__}; give the file that the training saved'
        )
    names, palette = found.get('semantic_classes'), found.get('semantic_palette')
    for what, values, kind in (('classes', names, str), ('palette', palette, list | tuple)):
        is_list = isinstance(values, list | tuple) and all(isinstance(v, kind) for v in values)
        if values is not None and not is_list:
            raise DamagedCheckpointError(
                f'{name}: semantic_{what} in its "dataset_meta" must be a list of class '
                f'{"names" if kind is str else "colours"}, got {str(values)[:60]}; give '
                'the file that the training saved'
            )
    return names, palette


def trained_roles(checkpoint: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a checkpoint was trained on: land cover and change, or change alone.

    Args:
        checkpoint: The checkpoint as read. One that doesn't say was trained on both.
    """
    meta = checkpoint.get('meta')
    found = meta.get(ROLES_KEY) if isinstance(meta, Mapping) else None
    if isinstance(found, list | tuple) and LAND_COVER_ROLE not in found:
        return (CHANGE_ROLE,)
    return ALL_ROLES


def stored_calibrations(checkpoint: Mapping[str, Any], name: str) -> tuple[Calibration, ...]:
    """Return the calibrations of P(changed) that a checkpoint has, for some views each.

    Args:
        checkpoint: The checkpoint as read.
        name: Its origin, for messages.

    Raises:
        CalibrationError: One can't be used.
    """
    meta = checkpoint.get('meta')
    found = meta.get(CALIBRATIONS_KEY) if isinstance(meta, Mapping) else None
    return () if found is None else calibrations_of(found, name)


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """List the first of some names, and the number of the others.

    Example:
        >>> listed(['a', 'b', 'c'], 2)
        'a, b and 1 more'
    """
    more = f' and {len(names) - shown} more' if len(names) > shown else ''
    return ', '.join(names[:shown]) + more


def _no_dictionary(found: Any, name: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(
        f'{name} holds a {type(found).__name__}, expected a dictionary with weights by name, on '
        'their own or as "state_dict"; give the file that the training saved'
    )


def _tables(checkpoint: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
    """Yield the dictionary itself and those directly in it that hold tensors by name."""
    yield checkpoint
    for value in checkpoint.values():
        if isinstance(value, dict) and any(isinstance(part, Tensor) for part in value.values()):
            yield value


def _check_usable(weights: Mapping[Any, Any], name: str) -> None:
    """Refuse tensors that no network can take: without values, sparse, negative variances."""
    for key, value in weights.items():
        if not isinstance(value, Tensor):
            continue
        kind = 'meta' if value.device.type == 'meta' else str(value.layout)
        if kind != 'torch.strided':
            raise DamagedCheckpointError(
                f'{name}: {key!r} is a {kind} tensor, expected one that holds its values in full; '
                'save it with dense tensors'
            )
        variances = str(key).endswith('running_var') and not value.is_complex()
        if variances and bool((value < 0).any()):
            raise DamagedCheckpointError(
                f'{name}: {key!r}, variances of batch norm, holds negative numbers, expected 0 or '
                'more; give another checkpoint'
            )


def _all_finite(value: Any) -> bool:
    """Return whether all tensors at any depth are finite."""
    if isinstance(value, Mapping):
        return all(_all_finite(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(_all_finite(one) for one in value)
    return _is_finite(value)


def _is_finite(value: Any) -> bool:
    if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
        return True
    value = value.detach()
    if value.layout != torch.strided:
        value = value.coalesce().values() if value.layout == torch.sparse_coo else value.to_dense()
    if value.device.type == 'meta':
        return True
    if value.is_floating_point() and value.itemsize < 4:
        total = value.sum(dtype=torch.float32)
    else:
        total = value.sum()
    # A sum is 15 times as fast as a test of each number, but may overflow.
    if bool(torch.isfinite(total)):
        return True
    return bool(torch.isfinite(value.float() if value.itemsize < 2 else value).all())
