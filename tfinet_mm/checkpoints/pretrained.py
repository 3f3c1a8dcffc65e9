"""Let modules load their initial weights (``init_cfg``) without running code from them.

MMEngine reads the checkpoint of ``init_cfg=dict(type='Pretrained', ...)`` with its
own loader, which may run code. Other programs use that loader too, so it stays as it
is; the modules of a model are given addresses that begin with
:data:`~tfinet_mm.checkpoints.addresses.SCHEME` instead, for which a reader of this
package is added to MMEngine's.
"""

from __future__ import annotations

import copy
from typing import Any

from mmengine.model.weight_init import PretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from torch import nn

from tfinet_mm.checkpoints.addresses import SCHEME, plain_address, read_checkpoint
from tfinet_mm.checkpoints.pickles import Location
from tfinet_mm.utils.class_names import find_class


def load_from_safe_reader(filename: str, map_location: Location = None) -> dict[str, Any]:
    """Read an address that begins with ``tfinet-mm://``, as a loader of MMEngine."""
    return read_checkpoint(filename, 'cpu' if map_location is None else map_location)


def register_reader() -> None:
    """Let MMEngine read addresses that begin with ``tfinet-mm://``."""
    if SCHEME not in CheckpointLoader._schemes:
        CheckpointLoader.register_scheme(prefixes=SCHEME, loader=load_from_safe_reader, force=True)


def guard_pretrained(model: nn.Module) -> None:
    """Make ``init_weights`` of a model and its parts read checkpoints with this package's reader.

    Args:
        model: The model; its ``init_cfg`` and those of all its modules are changed.
    """
    register_reader()
    module: Any
    for module in model.modules():
        init_cfg = getattr(module, 'init_cfg', None)
        if isinstance(init_cfg, list | tuple):
            module.init_cfg = [_guarded(one) for one in init_cfg]
        elif init_cfg is not None:
            module.init_cfg = _guarded(init_cfg)


def forget_pretrained(model: nn.Module) -> None:
    """Make ``init_weights`` of a model and its parts load no checkpoints.

    Args:
        model: The model; entries that load a checkpoint are removed from its
            ``init_cfg`` and from those of all its modules.
    """
    module: Any
    for module in model.modules():
        init_cfg = getattr(module, 'init_cfg', None)
        entries = init_cfg if isinstance(init_cfg, list | tuple) else [init_cfg]
        if any(map(is_pretrained, entries)):
            module.init_cfg = [one for one in entries if not is_pretrained(one)] or None


def is_pretrained(init_cfg: Any) -> bool:
    """Return whether an entry of ``init_cfg`` loads a checkpoint, by any name of its type."""
    if not isinstance(init_cfg, dict):
        return False
    return find_class(WEIGHT_INITIALIZERS, init_cfg.get('type')) is PretrainedInit


def _guarded(init_cfg: Any) -> Any:
    """Put :data:`SCHEME` before the address of an entry of ``init_cfg``, if it has one."""
    # Some of mmseg's backbones read it themselves, whatever the type.
    if not isinstance(init_cfg, dict) or not isinstance(init_cfg.get('checkpoint'), str):
        return init_cfg
    changed = copy.copy(init_cfg)
    if is_pretrained(init_cfg):
        # Under any other name MMEngine would load it first, and other entries overwrite it.
        changed['type'] = 'Pretrained'
    changed['checkpoint'] = SCHEME + plain_address(init_cfg['checkpoint'])
    return changed
