"""Views of a pair that a prediction is the mean of: flips, rotations and scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.logging import print_log

from tfinet_mm.models.detectors.augmentation import (
    TTA_TRANSFORMS,
    check_scales,
    check_transforms,
    view_names,
)

Augmentation: TypeAlias = bool | Sequence[str] | Mapping[str, Any] | None
VIEW_KEYS = ('transforms', 'scales')
"""Options of a :class:`~tfinet_mm.models.detectors.SCDTTAModel` that say which views it takes."""


def find_augmentation(cfg: Config, tta: Augmentation) -> dict[str, Any] | None:
    """Return the views that predictions are the mean of.

    Args:
        cfg: The network's config.
        tta: See :class:`~tfinet_mm.apis.SCDInferencer`. Where the config alone
            decides and takes several views, a line says so.

    Returns:
        ``transforms`` and ``scales`` of a :class:`~tfinet_mm.models.detectors.SCDTTAModel`,
        either of which may be missing; None for predictions as they are.

    Raises:
        ValueError: ``tta``, or ``default_tta`` of the config, isn't a dictionary of these,
            or a transform or a scale can't be.
    """
    if tta is None:
        return _default_augmentation(cfg)
    if tta is False:
        return None
    if isinstance(tta, Mapping):
        list_views(tta, 'tta')
        return dict(tta)
    if tta is True:
        return {k: v for k, v in (cfg.get('tta_model') or {}).items() if k in VIEW_KEYS}
    return dict(transforms=tta)


def _default_augmentation(cfg: Config) -> dict[str, Any] | None:
    default = cfg.get('default_tta')
    if default is None:
        return None
    views = list_views(default, 'default_tta')
    if len(views) > 1 and get_dist_info()[0] == 0:
        print_log(
            f'Each prediction is the mean of {len(views)} views ({", ".join(views)}), as the '
            'weights ask for; with --no-tta, or tta=False, it is faster and less exact',
            None,
        )
    return dict(default)


def list_views(views: Any, name: str) -> list[str]:
    """Return the names of the views that a dictionary asks for.

    Args:
        views: ``transforms``, six by default, and ``scales``, 1 by default.
        name: Name of the option, for the message.

    Raises:
        ValueError: It isn't such a dictionary, or a transform or a scale can't be.

    Example:
        >>> list_views(dict(transforms=['identity'], scales=[0.5, 1.0]), 'default_tta')
        ['identity x 0.5', 'identity']
    """
    if not isinstance(views, Mapping) or set(views) - set(VIEW_KEYS):
        raise ValueError(
            f'{name} must be a dictionary of transforms and scales, such as '
            f"dict(transforms=['identity'], scales=[0.5, 1.0, 2.0]), got {views!r}"
        )
    return view_names(
        check_transforms(views.get('transforms', TTA_TRANSFORMS)),
        check_scales(views.get('scales', (1.0,))),
    )
