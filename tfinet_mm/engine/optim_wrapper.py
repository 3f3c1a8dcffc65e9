"""Train under ``torch.autocast`` on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.optim import OptimWrapper
from torch import nn

from tfinet_mm.registry import OPTIM_WRAPPERS
from tfinet_mm.utils.device import autocast, check_precision, resolve_precision


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Train under ``torch.autocast``, without scaling the loss.

    MMEngine's ``AmpOptimWrapper`` does so on GPUs only. Models that cast
    in their own code, as this package's detector with ``autocast`` does, need neither.

    Args:
        dtype: ``'bfloat16'``, ``'float32'``, or ``'auto'`` for the faster of both on
            the model's device.
        **kwargs: Options of MMEngine's ``OptimWrapper``.

    Raises:
        ValueError: The type is unknown, or is float16, which needs a scaled loss.
    """

    def __init__(self, dtype: str = 'auto', **kwargs: Any) -> None:
        if dtype == 'float16':
            raise ValueError(
                'training in float16 needs a scaled loss; use '
                "optim_wrapper=dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16')"
            )
        check_precision(dtype)
        super().__init__(**kwargs)
        self.dtype = dtype

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Cast in the model's computation, and accumulate gradients as the base class does."""
        device = next(model.parameters()).device
        dtype = resolve_precision(self.dtype, device, scaled=False)
        with super().optim_context(model), autocast(dtype, device):
            yield
