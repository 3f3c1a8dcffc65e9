"""Read the config that a checkpoint carries, without running it.

MMEngine stores a config as Python text in ``meta['cfg']``. Running that text
would let a downloaded file do anything, and so would building a config whose
``type`` names any function of any library. So the text may hold values only,
and types have to be registered ones.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import TASK_UTILS as ROOT_TASK_UTILS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import DefaultScope, Registry
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.registry import TRANSFORMS as MMSEG_TRANSFORMS
from torch import Tensor

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.errors import DamagedCheckpointError, UntrustedCheckpointError
from tfinet_mm.registry import MODELS, TRANSFORMS
from tfinet_mm.utils.dist import read_once

KEPT = (
    'model',
    'default_scope',
    'tta_model',
    'default_tta',
    'test_pipeline',
    'window',
    'test_dataloader',
    'val_dataloader',
    'train_dataloader',
)
"""Keys of a config that predicting needs."""
LARGER = 4
"""Greatest ratio of a network's size to its checkpoint's; a wrong network is refused later."""
CONSTANTS = {'inf': float('inf'), 'nan': float('nan')}


def embedded_config(checkpoint: str | os.PathLike[str]) -> Config:
    """Return the parts that predicting needs of the config that a checkpoint carries.

    Initial weights (``init_cfg``) are left out, since the checkpoint has all.

    Args:
        checkpoint: A file that MMEngine wrote.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It carries no config with a model.
        DamagedCheckpointError: Its config can't be that of its weights.
        UntrustedCheckpointError: Its config holds more than values, or names
            types that no registry of this package, MMEngine, MMCV or
            MMSegmentation has.
    """
    stored, size = read_once(lambda: _read(checkpoint))
    if isinstance(stored, str):
        stored = config_values(stored, str(checkpoint))
    if not isinstance(stored, Mapping) or not isinstance(stored.get('model'), Mapping):
        raise ValueError(
            f"{checkpoint} carries no config with a model in its meta['cfg']; give the config it "
            'was trained with: SCDInferencer(CONFIG, CHECKPOINT)'
        )
    values = _plain({key: stored[key] for key in KEPT if stored.get(key) is not None})
    for name in sorted(set(_types(values))):
        if not _registered(name):
            raise UntrustedCheckpointError(
                f'the config in {checkpoint} uses {name!r}, which is registered nowhere and could '
                'run any code; where you trust its origin, write that config to a file, import '
                'what it needs there, and give the file: SCDInferencer(CONFIG, CHECKPOINT)'
            )
    _check_network(values, size, str(checkpoint))
    return Config(values)


def _read(checkpoint: str | os.PathLike[str]) -> tuple[Any, int]:
    """Return the config that a checkpoint carries, and the number of its weights."""
    loaded = load_checkpoint_file(checkpoint, map_location='cpu')
    loaded = loaded if isinstance(loaded, Mapping) else {}
    meta, weights = loaded.get('meta'), loaded.get('state_dict', loaded)
    tensors = weights.values() if isinstance(weights, Mapping) else []
    size = sum(value.numel() for value in tensors if isinstance(value, Tensor))
    return meta.get('cfg') if isinstance(meta, Mapping) else None, size


def _check_network(values: Mapping[str, Any], size: int, source: str) -> None:
    """Build the network without memory for its weights, before it is really built.

    Args:
        values: The config.
        size: Number of values in the weights of the checkpoint.
        source: The checkpoint, for messages.

    Raises:
        DamagedCheckpointError: It can't be built, or is far larger than the
            checkpoint. (A wrong number of channels may ask for more memory than
            the machine has.)
    """
    # An ensemble has no weights; it is refused later, with a reason.
    if 'members' in values['model']:
        return
    scope = values.get('default_scope') or 'mmseg'
    try:
        with torch.device('meta'), DefaultScope.overwrite_default_scope(scope):
            weights = MODELS.build(Config(values).model).state_dict()
    except (AttributeError, AssertionError, LookupError, TypeError, ValueError) as error:
        # Some parts compute while they are built, which fails without memory.
        if 'meta' in str(error):
            return
        raise DamagedCheckpointError(
            f'the network of the config that {source} carries can not be built '
            f'({type(error).__name__}: {error}); give the config it was trained with: '
            'SCDInferencer(CONFIG, CHECKPOINT)'
        ) from error
    except RuntimeError:
        return
    described = sum(value.numel() for value in weights.values() if isinstance(value, Tensor))
    if described > LARGER * max(size, 1):
        raise DamagedCheckpointError(
            f'the config that {source} carries describes a network of {described:,} numbers, and '
            f'the weights beside it are {size:,}; give the config it was trained with: '
            'SCDInferencer(CONFIG, CHECKPOINT)'
        )


def config_values(text: str, source: str) -> dict[str, Any]:
    """Read the text of a config that consists of plain values.

    Args:
        text: Python assignments of constants, lists, tuples, sets, dictionaries
            and calls of ``dict``, as MMEngine writes configs.
        source: Its origin, for messages.

    Returns:
        The values by name.

    Raises:
        UntrustedCheckpointError: It is anything else.

    Example:
        >>> config_values("model = dict(type='A', size=(-1, 2))", 'a.pth')
        {'model': {'type': 'A', 'size': (-1, 2)}}
    """
    try:
        statements = ast.parse(text).body
        values = {}
        for statement in statements:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                raise _NotAValue(ast.unparse(statement))
            target = statement.targets[0]
            if not isinstance(target, ast.Name):
                raise _NotAValue(ast.unparse(statement))
            values[target.id] = _value(statement.value)
    except (_NotAValue, SyntaxError, ValueError, TypeError, RecursionError) as error:
        raise UntrustedCheckpointError(
            f'the config that {source} carries is more than plain values ({str(error)[:80]}), so '
            'it is not run; where you trust its origin, write it to a file and give that: '
            'SCDInferencer(CONFIG, CHECKPOINT)'
        ) from None
    return values


class _NotAValue(Exception):
    """A part of a config's text that would have to be run."""


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in CONSTANTS:
        return CONSTANTS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        kinds: dict[type, Any] = {ast.List: list, ast.Tuple: tuple, ast.Set: set}
        return kinds[type(node)](_value(part) for part in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        # MMEngine writes dict({...}) where a key is no identifier.
        values = [_value(part) for part in node.args if isinstance(part, ast.Dict)]
        if len(values) == len(node.args) <= 1 and all(word.arg for word in node.keywords):
            named = {str(word.arg): _value(word.value) for word in node.keywords}
            return {**(values[0] if values else {}), **named}
    raise _NotAValue(ast.unparse(node))


def _plain(value: Any) -> Any:
    """Return a copy without the settings that initialise weights."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items() if key != 'init_cfg'}
    if isinstance(value, list | tuple):
        return type(value)(_plain(part) for part in value)
    return value


def _types(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield names of all types that predicting would build."""
    used = [values['model'], values.get('tta_model'), values.get('test_pipeline')]
    used += [_pipelines(values.get(key)) for key in KEPT if key.endswith('dataloader')]
    stack = used
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            if 'type' in part:
                yield part['type'] if isinstance(part['type'], str) else repr(part['type'])
            stack.extend(part.values())
        elif isinstance(part, list | tuple):
            stack.extend(part)


def _pipelines(part: Any) -> list[Any]:
    """Return every ``pipeline`` in the config of a data loader."""
    if isinstance(part, Mapping):
        own = [part['pipeline']] if 'pipeline' in part else []
        return own + [one for value in part.values() for one in _pipelines(value)]
    if isinstance(part, list | tuple):
        return [one for value in part for one in _pipelines(value)]
    return []


def _registered(name: str) -> bool:
    """Return whether a registry has the name; otherwise it may be the path of any function.

    A config in MMEngine's new style is stored with the paths of its classes: such a
    path counts if it leads to a registered class.
    """
    for registry in (MODELS, TRANSFORMS, MMSEG_MODELS, MMSEG_TRANSFORMS, ROOT_MODELS):
        registry.import_from_location()
    scope, _, short = name.rpartition('.')
    roots = (ROOT_MODELS, ROOT_TRANSFORMS, ROOT_TASK_UTILS)
    return any(
        short in registry.module_dict
        for root in roots
        for registry in _family(root)
        if scope in ('', registry.scope)
    ) or (
        name.partition('.')[0] in ('tfinet_mm', 'mmseg', 'mmcv', 'mmengine')
        and any(
            _already_imported(scope, short) is kind
            for root in roots
            for registry in _family(root)
            for kind in registry.module_dict.values()
        )
    )


def _already_imported(module: str, name: str) -> Any:
    """Return a name of a module without importing the module; a new object where it has none."""
    return getattr(sys.modules.get(module), name, object())


def _family(registry: Registry) -> Iterator[Registry]:
    yield registry
    for child in registry.children.values():
        yield from _family(child)
