"""A learning rate that falls with the clock, for a machine that is there for a known time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class TimedScheduleHook(Hook):
    """Let the rate rise, then fall to 0 when the time is over; then stop.

    Args:
        seconds: Length of the training.
        warmup: Share of the time in which the rate rises, 0..1.
        out: Folder that gets the averaged weights in float16 (``weights.pth``) after each
            epoch; none by default.
    """

    # After the hook that averages the weights.
    priority = 'LOWEST'

    def __init__(self, seconds: float, warmup: float = 0.05, out: str | None = None) -> None:
        """See the class."""
        self.seconds, self.warmup, self.out = seconds, warmup, out
        self._start = time.monotonic()

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the rate of every group."""
        progress = (time.monotonic() - self._start) / self.seconds
        factor = min(progress / self.warmup, max(1 - progress, 0.0) / (1 - self.warmup), 1.0)
        for group in runner.optim_wrapper.param_groups:
            group.setdefault('initial_lr', group['lr'])
            group['lr'] = group['initial_lr'] * max(factor, 1e-3)

    def after_train_epoch(self, runner: Runner) -> None:
        """Keep the weights, and stop when the time is over."""
        if self.out is not None:
            averaged = next(
                (hook.ema_model.module for hook in runner.hooks if hasattr(hook, 'ema_model')),
                runner.model,
            )
            state = {
                name: value.half() if value.is_floating_point() else value
                for name, value in averaged.state_dict().items()
            }
            torch.save(state, Path(self.out, 'weights.pth'))
        if time.monotonic() - self._start >= self.seconds:
            runner.train_loop.stop_training = True
