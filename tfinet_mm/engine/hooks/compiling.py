"""Tell the networks of a run how many steps it has, so that they are compiled where it pays."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from tfinet_mm.models.detectors.compiled import compiled_networks, set_compile
from tfinet_mm.registry import HOOKS
from tfinet_mm.utils.compiler import check_mode, least_calls
from tfinet_mm.utils.device import say_once


@HOOKS.register_module()
class CompileHook(Hook):
    """Announce the steps of a training, a validation or a test to the networks.

    ``compile='auto'`` of a detector compiles only where a run has enough of them.
    ``SCDRunner`` registers it.

    Args:
        mode: ``'auto'``, ``'on'`` or ``'off'`` in place of the networks' own; None leaves it.

    Raises:
        ValueError: The mode is unknown, or nothing in the model takes one.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = None if mode is None else check_mode(mode)

    def before_run(self, runner: Runner) -> None:
        """Set the mode."""
        if runner.cfg.get('compile'):
            # MMEngine's own option compiles whole steps, around the networks.
            say_once("MMEngine's option compile is set: networks aren't compiled by themselves")
            for network in compiled_networks(runner.model):
                network.mode = 'off'
        elif self.mode is not None:
            set_compile(runner.model, self.mode)

    def before_train(self, runner: Runner) -> None:
        """Announce the steps of the training that are left."""
        wrapper: Any = runner.optim_wrapper
        graphs = getattr(wrapper, '_accumulative_counts', 1) == 1
        _plan(runner, True, runner.max_iters - runner.iter, graphs)

    def before_val(self, runner: Runner) -> None:
        """Announce the steps of this validation and those that follow."""
        loop: Any = runner._train_loop
        times = 1
        if getattr(loop, 'val_interval', None):
            by_steps = hasattr(loop, 'dataloader_iterator')
            done, end = (
                (runner.iter, runner.max_iters) if by_steps else (runner.epoch, runner.max_epochs)
            )
            times = max(1, (end - done) // loop.val_interval)
        _plan(runner, False, times * _length(runner.val_dataloader))

    def before_test(self, runner: Runner) -> None:
        """Announce the steps of the test."""
        _plan(runner, False, _length(runner.test_dataloader))


def _plan(runner: Runner, training: bool, calls: int, graphs: bool = True) -> None:
    networks = list(compiled_networks(runner.model))
    if not networks:
        return
    device = next(runner.model.parameters()).device
    what = 'training' if training else 'prediction'
    if training and get_world_size() > 1 and _synchronises(runner.model):
        say_once("The training isn't compiled: batch norm that is synchronised can not be")
        calls = 0
    least = least_calls(device, training)
    if least is not None and calls < least and any(one.mode == 'auto' for one in networks):
        say_once(
            f'The {what} of {calls} steps runs uncompiled: compiling pays from {least} steps on. '
            '--compile on compiles in any case'
        )
    for network in networks:
        network.plan(training, calls, graphs)


def _synchronises(model: nn.Module) -> bool:
    return any(isinstance(one, torch.nn.SyncBatchNorm) for one in model.modules())


def _length(loader: Any) -> int:
    return len(loader) if isinstance(loader, Sized) else 0
