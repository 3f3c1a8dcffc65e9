"""Predict pairs of images from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.apis.result import SCDResult
from tfinet_mm.apis.scene import predict_scene
from tfinet_mm.apis.series import predict_series

if TYPE_CHECKING:
    from tfinet_mm.apis.module import SCDModule, build_module

__all__ = [
    'SCDInferencer',
    'SCDModule',
    'SCDResult',
    'build_module',
    'predict_scene',
    'predict_series',
]


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is used, since predictions do without."""
    if name in ('SCDModule', 'build_module'):
        from tfinet_mm.apis import module

        return getattr(module, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
