"""Run functions of a network compiled by ``torch.compile``, where sizes repeat and it pays."""

from __future__ import annotations

import inspect
import logging
import time
import types
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tfinet_mm.utils.compiler import (
    check_mode,
    compiler_error,
    compiler_settings,
    keep_caches_apart,
    least_calls,
)
from tfinet_mm.utils.device import say_once, surrounding_autocast

MAX_KINDS = 4
"""Greatest number of sizes, types and modes that one network is compiled for."""
REPEATS = 3
"""Calls of one kind before it is compiled, so that images of many sizes are not."""


class CompiledNetwork:
    """Runs functions of one network, compiled once the calls of a kind repeat.

    A kind is the size and type of the input, the device, training or not, with or without
    gradients, and the autocast. Everything else runs as it is: the first calls of a kind, kinds
    beyond :data:`MAX_KINDS`, and all once something can't be compiled, after one warning.

    Compiled functions stay outside the network, so that names of weights don't change. A copy of
    the network, as of an average of weights, begins without any.

    Args:
        mode: ``'on'`` compiles, ``'off'`` doesn't, ``'auto'`` compiles if :meth:`plan` has
            announced enough calls.

    Raises:
        ValueError: The mode is unknown.
    """

    def __init__(self, mode: str = 'auto') -> None:
        self.mode = check_mode(mode)
        self._calls: dict[bool, int] = {}
        self._graphs = True
        self._failed = False
        self._seen: Counter[Hashable] = Counter()
        self._compiled: dict[Hashable, Callable[..., Any]] = {}

    def plan(self, training: bool, calls: int, graphs: bool = True) -> None:
        """Announce calls, so that ``'auto'`` knows whether compiling pays.

        Args:
            training: Calls that are trained on, or that predict.
            calls: Their number, at least.
            graphs: Record CUDA graphs. False where gradients of several steps add up, which
                graphs would overwrite.
        """
        self._calls[training] = max(calls, 0)
        if training:
            self._graphs = graphs

    def __call__(
        self, function: Callable[..., Any], network: Any, inputs: Tensor, **options: Any
    ) -> Any:
        """Return ``function(network, inputs, **options)``.

        Args:
            function: Function of tensors, without other effects.
            network: The module that it computes with.
            inputs: The input.
            **options: Further arguments, hashable.
        """
        training = torch.is_grad_enabled() and network.training
        if self._failed or not self._wanted(training, inputs.device):
            return function(network, inputs, **options)
        kind = (
            function.__name__,
            *sorted(options.items()),
            tuple(inputs.shape),
            inputs.dtype,
            inputs.device,
            network.training,
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            surrounding_autocast(inputs.device),
        )
        compiled = self._compiled.get(kind)
        if compiled is None:
            self._seen[kind] += 1
            if self._seen[kind] < REPEATS or len(self._compiled) >= MAX_KINDS:
                return function(network, inputs, **options)
            return self._compile(kind, function, network, inputs, options)
        return _kept(compiled(network, inputs, **options), inputs.device)

    def _wanted(self, training: bool, device: torch.device) -> bool:
        if self.mode != 'auto':
            return self.mode == 'on'
        # Without a plan, the number of calls is unknown.
        least = least_calls(device, training)
        return least is not None and self._calls.get(training, 0) >= least

    def _compile(
        self,
        kind: Hashable,
        function: Callable[..., Any],
        network: Any,
        inputs: Tensor,
        options: dict[str, Any],
    ) -> Any:
        """Compile a function and return its first result; that of the function itself if it fails.

        The backward pass is compiled here too, where a failure can still be mended.
        """
        graphs = self._graphs or not torch.is_grad_enabled()
        keep_caches_apart()
        compiled = torch.compile(
            _own_code(function),
            dynamic=False,
            options=compiler_settings(inputs.device, graphs),
        )
        start = time.perf_counter()
        try:
            with _backward_at_once():
                result = compiled(network, inputs, **options)
        except Exception as error:
            reason = compiler_error(error)
            if reason is None:
                raise
            self._failed = True
            say_once(
                f'The network is not compiled, and runs as it is: {reason}. Leave compiling out '
                "with --compile off, or model.compile='off' in the config",
                logging.WARNING,
            )
            return function(network, inputs, **options)
        self._compiled[kind] = compiled
        say_once(
            f'Compiled the network for {"training" if network.training else "prediction"} on '
            f'{tuple(inputs.shape)} in {time.perf_counter() - start:.0f} s'
        )
        if len(self._compiled) == MAX_KINDS:
            say_once(f'No more than {MAX_KINDS} sizes are compiled; others run as they are')
        return _kept(result, inputs.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledNetwork:
        """Return one without compiled functions, whose weights would be the original's."""
        copied = type(self)(self.mode)
        copied._calls, copied._graphs = dict(self._calls), self._graphs
        return copied

    def __reduce__(self) -> tuple[type[CompiledNetwork], tuple[str]]:
        """Pickle the mode alone."""
        return type(self), (self.mode,)


def compiled_networks(model: Any) -> Iterator[CompiledNetwork]:
    """Yield those of a model, of the members of an ensemble and of copies within it."""
    for module in model.modules() if isinstance(model, nn.Module) else ():
        compiled = getattr(module, 'compiled', None)
        if isinstance(compiled, CompiledNetwork):
            yield compiled


def set_compile(model: Any, mode: str) -> None:
    """Set ``'auto'``, ``'on'`` or ``'off'`` for all networks of a model.

    Raises:
        ValueError: The mode is unknown, or nothing in the model takes one.
    """
    networks = list(compiled_networks(model))
    if not networks:
        raise ValueError(
            f'{type(model).__name__} has no part that --compile applies to, only a '
            'tfinet_mm.SemanticChangeDetector or an ensemble has; leave --compile out. Other '
            "models take MMEngine's option compile=True"
        )
    for network in networks:
        network.mode = check_mode(mode)


def _own_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """Copy a function, code included: torch counts what it compiled, at most 8, by code object."""
    plain: Any = inspect.unwrap(function)
    copied = types.FunctionType(
        plain.__code__.replace(),
        plain.__globals__,
        plain.__name__,
        plain.__defaults__,
        plain.__closure__,
    )
    copied.__kwdefaults__ = plain.__kwdefaults__
    return copied


def _kept(result: Any, device: torch.device) -> Any:
    """Copy predictions on a GPU, which the next run of a CUDA graph would overwrite."""
    if device.type != 'cuda' or torch.is_grad_enabled():
        return result
    return pytree.tree_map_only(Tensor, torch.clone, result)


def _backward_at_once() -> Any:
    """Return a context in which torch compiles the backward pass with the forward pass."""
    import torch._functorch.config as config  # Slow to import, and of use here only.

    if hasattr(config, 'force_non_lazy_backward_lowering'):
        return config.patch(force_non_lazy_backward_lowering=True)
    return config.patch()
