"""Build parts of other packages, and read what their models say about themselves."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from tfinet_mm.models.norms import with_fitting_norms
from tfinet_mm.registry import MODELS, SCOPE
from tfinet_mm.utils.class_names import imported


def land_cover_classes(model: Any) -> int | None:
    """Return the number K of land-cover classes of a model.

    Args:
        model: A detector, ensemble or test-time augmentation of this package, whose
            ``num_classes`` is K; or another model. Open-CD's detectors of semantic change have
            K as ``semantic_num_classes``, and as ``num_classes`` the 2 of their change head.

    Returns:
        K; None if the model doesn't state it.
    """
    if hasattr(model, 'predict_probabilities'):
        number = getattr(model, 'num_classes', None)
    else:
        number = getattr(model, 'semantic_num_classes', None)
    return number if isinstance(number, int) else None


def class_of(config: Mapping[str, Any]) -> type | None:
    """Return the class that the config of a part names; None if it isn't found."""
    kind = imported(config.get('type'))
    if inspect.isclass(kind):
        return kind
    found = MODELS.get(kind) if isinstance(kind, str) and '_scope_' not in config else None
    return found if inspect.isclass(found) else None


def build_foreign(config: dict[str, Any]) -> nn.Module:
    """Build a backbone or neck, that of another package in this package's scope.

    Open-CD's parts build parts of their own by names without a prefix, which the scope of a
    config may not have.

    Args:
        config: Config of the part, with the prefix of its package.
    """
    config = with_fitting_norms(config)
    kind = config.get('type')
    package = kind.split('.', 1)[0] if isinstance(kind, str) and '.' in kind else SCOPE
    if package not in (SCOPE, 'mmseg', 'mmengine') and '_scope_' not in config:
        config = {**config, '_scope_': package}
    built: nn.Module = MODELS.build(config)
    return built
