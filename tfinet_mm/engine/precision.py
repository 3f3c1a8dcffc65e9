"""Set in a config the type of numbers that ``--amp`` and ``autocast`` ask for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import LOOPS, MODELS, OPTIM_WRAPPERS, Registry

from tfinet_mm.engine.arguments import AMP_TYPES
from tfinet_mm.engine.optim_wrapper import AutocastOptimWrapper
from tfinet_mm.utils.class_names import imported, written_name
from tfinet_mm.utils.device import (
    best_precision,
    default_device,
    resolve_precision,
    resolve_precisions,
    say_once,
)

# The 16-bit type of MMEngine's test loop, by device: its fp16 has no other choice.
_LOOP_TYPES = {'cpu': 'bfloat16', 'cuda': 'float16'}


def use_amp(cfg: Config, dtype: str, train: bool) -> None:
    """Let a config compute in another type of numbers.

    Models with an argument ``autocast``, such as this package's detector, get it set.
    Others are trained by an optimizer wrapper that casts, and tested with ``fp16`` of
    MMEngine's test loop. float16 has so small a range that training needs its loss
    scaled, which MMEngine's ``AmpOptimWrapper`` does, on GPUs only.

    Args:
        cfg: The config to change.
        dtype: One of :data:`~tfinet_mm.engine.arguments.AMP_TYPES`.
        train: The config is used for training.

    Raises:
        ValueError: The type is unknown, or can't be used with this model, optimizer
            wrapper, test loop or machine.
    """
    check_amp(dtype)
    if not train:
        if takes_autocast(cfg):
            set_autocast(cfg, dtype)
        else:
            _test_in(cfg, dtype)
        return
    if dtype == 'float32':
        _compute_plainly(cfg)
    if not takes_autocast(cfg):
        _train_in(cfg, resolve_precision(dtype, default_device()))
        return
    if dtype == 'float16':
        _train_in(cfg, dtype)
    set_autocast(cfg, dtype)
    check_training(cfg)


def set_autocast(cfg: Config, dtype: str) -> None:
    """Set the argument ``autocast`` of a config's model.

    Args:
        cfg: The config to change.
        dtype: One of :data:`~tfinet_mm.engine.arguments.AMP_TYPES`.

    Raises:
        ValueError: The type is unknown, or the model has no such argument.
    """
    check_amp(dtype)
    if not takes_autocast(cfg):
        raise ValueError(
            f'{_model_name(cfg)} has no argument "autocast", so --amp does not apply to it; '
            'leave --amp out'
        )
    _network(cfg).autocast = dtype


def check_amp(dtype: str) -> None:
    """Refuse a type that is none of :data:`~tfinet_mm.engine.arguments.AMP_TYPES`.

    Raises:
        ValueError: It is none of them.
    """
    if dtype not in AMP_TYPES:
        raise ValueError(f'the type must be one of {", ".join(AMP_TYPES)}, got {dtype!r}')


def check_training(cfg: Config) -> None:
    """Let a config with ``autocast`` train with a scaled loss, or refuse it before data is read.

    Where ``'auto'`` means float16 on this machine, the optimizer wrapper becomes
    MMEngine's ``AmpOptimWrapper``, if it is a plain one.

    Args:
        cfg: The config, which may be changed.

    Raises:
        ValueError: It trains in float16 and nothing scales its loss.
    """
    wanted = _network(cfg).get('autocast') if cfg.get('model') else None
    if wanted not in ('auto', 'float16') or _scales(cfg):
        return
    if wanted == 'float16':
        raise ValueError(
            "the config says autocast='float16', and its optimizer wrapper "
            f'{_wrapper_name(cfg)} does not scale the loss, so small gradients become 0; '
            "set optim_wrapper.type='AmpOptimWrapper', loss_scale='dynamic' and dtype='float16' "
            "(on a GPU), or autocast='auto' or 'bfloat16'"
        )
    best = best_precision(default_device()).dtype
    if best == 'float16' and _find(cfg, OPTIM_WRAPPERS, _wrapper_type(cfg)) is OptimWrapper:
        _train_in(cfg, best)


def takes_autocast(cfg: Config) -> bool:
    """Return whether a config's model, or the one in its wrapper, has an argument ``autocast``.

    Raises:
        ValueError: There is no model of its type.
    """
    kind = _network(cfg).type
    found = _find(cfg, MODELS, kind)
    if found is None:
        raise ValueError(
            f'there is no model of the type {kind!r}; see model.type in {cfg.filename}'
        )
    if not inspect.isclass(found):
        return 'autocast' in inspect.signature(found).parameters
    for one in found.__mro__:
        if '__init__' in vars(one):
            arguments = inspect.signature(vars(one)['__init__']).parameters
            if 'autocast' in arguments:
                return True
            # A class that takes any keyword may pass it on to its parent.
            if all(argument.kind is not argument.VAR_KEYWORD for argument in arguments.values()):
                return False
    return False


def used_precision(cfg: Config, device: str | None = None) -> str | list[str]:
    """Return the type that a config's model computes in when it is tested on this machine.

    Args:
        cfg: The config.
        device: Device of the network; by default the one that MMEngine chooses.

    Returns:
        The type, or one for each member of an ensemble whose members differ.
    """
    from tfinet_mm.models.members import member_config  # it imports modules that import this one

    device = device or default_device()
    model = _network(cfg)
    wanted = model.get('autocast')
    loop = cfg.get('test_cfg') or {}
    if wanted in (None, 'auto') and loop.get('fp16'):
        return _LOOP_TYPES.get(device.split(':')[0], 'float16')
    if wanted is None and 'members' in model:
        # One without a config is refused where the ensemble is built.
        members = [
            member_config(one.config, one.get('cfg_options')).model
            for one in model.members
            if one.get('config') is not None
        ]
        return resolve_precisions([one.get('autocast') for one in members], device, log=False)
    return resolve_precision(wanted, device, log=False)


def _network(cfg: Config) -> Any:
    """Return the config of the model that computes, out of a wrapper for augmentation."""
    return cfg.model.get('module', cfg.model)


def _model_name(cfg: Config) -> str:
    return written_name(_network(cfg).type)


def _find(cfg: Config, registry: Registry, kind: Any) -> Any:
    """Find the class of a type in a config's default scope; None where there is none."""
    kind = imported(kind)
    if not isinstance(kind, str):
        return kind
    with registry.switch_scope_and_registry(cfg.get('default_scope') or 'mmseg') as scoped:
        return scoped.get(kind)


def _wrapper_type(cfg: Config) -> Any:
    wrapper = cfg.get('optim_wrapper') or {}
    return wrapper.get('type', 'OptimWrapper') if isinstance(wrapper, Mapping) else type(wrapper)


def _wrapper_name(cfg: Config) -> str:
    return written_name(_wrapper_type(cfg))


def _scales(cfg: Config) -> bool:
    found = _find(cfg, OPTIM_WRAPPERS, _wrapper_type(cfg))
    return inspect.isclass(found) and issubclass(found, AmpOptimWrapper)


def _train_in(cfg: Config, dtype: str) -> None:
    """Let the optimizer wrapper cast, and scale the loss where that is needed."""
    if dtype == 'float32':
        return
    device = default_device()
    wrapper: Any = cfg.get('optim_wrapper')
    if not isinstance(wrapper, dict):
        raise ValueError(
            f'--amp {dtype} sets options of optim_wrapper, and {cfg.filename} has none as a '
            f'dictionary; got {wrapper!r}'
        )
    kind = _find(cfg, OPTIM_WRAPPERS, _wrapper_type(cfg))
    if kind not in (OptimWrapper, AmpOptimWrapper, AutocastOptimWrapper):
        raise ValueError(
            f'--amp {dtype} needs the optimizer wrapper OptimWrapper, the config has '
            f"{_wrapper_name(cfg)}; set optim_wrapper.type='OptimWrapper', or leave --amp out"
        )
    if device not in ('cpu', 'mps'):
        wrapper['type'] = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')
        wrapper['dtype'] = dtype
    elif dtype == 'bfloat16':
        _drop_scaling(wrapper)
        wrapper['type'] = 'tfinet_mm.AutocastOptimWrapper'
        wrapper['dtype'] = dtype
    else:
        raise ValueError(
            f'training {_model_name(cfg)} in {dtype} scales the loss, which MMEngine does '
            'on GPUs only; use --amp auto or --amp bfloat16'
        )


def _compute_plainly(cfg: Config) -> None:
    """Replace an optimizer wrapper that casts by one that doesn't."""
    wrapper: Any = cfg.get('optim_wrapper')
    kind = _find(cfg, OPTIM_WRAPPERS, _wrapper_type(cfg))
    if isinstance(wrapper, dict) and kind in (AmpOptimWrapper, AutocastOptimWrapper):
        _drop_scaling(wrapper)
        wrapper['type'] = 'OptimWrapper'


def _drop_scaling(wrapper: Any) -> None:
    for key in ('loss_scale', 'dtype', 'use_fsdp'):
        wrapper.pop(key, None)


def _test_in(cfg: Config, dtype: str) -> None:
    """Let MMEngine's test loop cast."""
    device = default_device()
    loop = cfg.test_cfg
    kind = _find(cfg, LOOPS, loop.get('type', 'TestLoop'))
    if kind is None or 'fp16' not in inspect.signature(kind).parameters:
        raise ValueError(
            f'{_model_name(cfg)} has no argument "autocast", and the test loop '
            f'{written_name(loop.get("type"))} no argument "fp16", so --amp does not apply to '
            'them; leave --amp out'
        )
    able = _LOOP_TYPES.get(device, 'float32')
    best = best_precision(device)
    if dtype == 'auto' and best.dtype not in ('float32', able):
        # A GPU with units for bfloat16 has them for float16 too.
        dtype = able
        say_once(
            f"Computing in {able} on the device {device!r}: {best.reason}, and MMEngine's test "
            'loop has no other 16-bit type there'
        )
    elif dtype not in ('auto', 'float32', able):
        raise ValueError(
            f'{_model_name(cfg)} has no argument "autocast", and MMEngine\'s test loop '
            f'computes in {able} on the device {device!r} and not in {dtype}; use --amp auto'
        )
    loop.fp16 = resolve_precision(dtype, device) != 'float32'
