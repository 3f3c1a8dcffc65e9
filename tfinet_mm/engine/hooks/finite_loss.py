"""Stop a training whose loss or weights are NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.engine.step_values import StepValues, place, reads_after, saves_after, waits
from tfinet_mm.errors import TrainingDivergedError
from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop where a loss is NaN or infinite, and before such weights are saved or validated.

    A training never recovers from such weights: its scores are those of one
    class everywhere, and its checkpoints replace the good ones. The loss is
    checked in every iteration; MMEngine reads it for its log anyway. Weights
    are checked at the end of each epoch, before a checkpoint and before a
    validation. ``SCDRunner`` registers it.

    Raises:
        TrainingDivergedError: A value isn't finite; the message names the iteration,
            the terms of the loss or the weights, and the last checkpoint.
    """

    # Before MMEngine logs, steps its schedules and saves.
    priority = 'HIGH'

    def __init__(self, wait: bool | None = None) -> None:
        self.wait = wait
        self._training = False
        self._values = StepValues()

    def before_train(self, runner: Runner) -> None:
        """Turn on the check of weights before validations."""
        self._training = True

    def after_train(self, runner: Runner) -> None:
        """Turn off the check of weights before validations, which may follow the training."""
        self._training = False

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Stop where a term of the loss is NaN or infinite."""
        found = outputs if isinstance(outputs, Mapping) else {}
        terms = {name: value for name, value in found.items() if 'loss' in name}
        self._values.add(place(runner), terms)
        wait = waits(terms) if self.wait is None else self.wait
        if not wait or reads_after(runner, batch_idx):
            self._check_losses(runner)
        if saves_after(runner):
            self._check_weights(runner, place(runner))

    def _check_losses(self, runner: Runner) -> None:
        for step, terms in self._values.read():
            wrong = {name: value for name, value in terms.items() if not math.isfinite(value)}
            if wrong:
                # The total isn't finite either; leave it out where a term explains it.
                named = {name: value for name, value in wrong.items() if name != 'loss'} or wrong
                shown = ', '.join(f'{name} {value:g}' for name, value in named.items())
                self._stop(runner, f'the loss is not finite in {step}: {shown}')

    def after_train_epoch(self, runner: Runner) -> None:
        """Check losses and weights before they are saved."""
        self._check_losses(runner)
        self._check_weights(runner, f'epoch {runner.epoch + 1}')

    def before_val(self, runner: Runner) -> None:
        """Check losses and weights before they are validated."""
        if self._training:
            self._check_losses(runner)
            self._check_weights(runner, f'iteration {runner.iter}')

    def _check_weights(self, runner: Runner, place: str) -> None:
        if names := nonfinite_weights(unwrapped(runner.model)):
            more = f' and {len(names) - 3} others' if len(names) > 3 else ''
            shown = f'{", ".join(names[:3])}{more}'
            self._stop(runner, f'weights are not finite after {place}: {shown}')

    @staticmethod
    def _stop(runner: Runner, problem: str) -> None:
        raise TrainingDivergedError(
            f'{problem}. Lower the learning rate (optim_wrapper.optimizer.lr), compute in float32 '
            'instead of 16 bits, or look for wrong labels and images with tools/check_dataset.py. '
            + _last_checkpoint(runner)
        )


def nonfinite_weights(model: nn.Module) -> list[str]:
    """Return the names of parameters and buffers with a NaN or infinite value.

    Args:
        model: The network.
    """
    tensors = {
        name: value
        for name, value in model.state_dict().items()
        if isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())
    }
    if not tensors:
        return []
    # One transfer from a GPU for all of them.
    device = next(iter(tensors.values())).device
    finite = torch.stack([value.isfinite().all().to(device) for value in tensors.values()])
    return [name for name, good in zip(tensors, finite.tolist(), strict=True) if not good]


def _last_checkpoint(runner: Runner) -> str:
    path = runner.message_hub.runtime_info.get('last_ckpt')
    if path and Path(path).exists():
        return f'The last checkpoint, of finite weights, is {path}'
    if runner._resume and runner._load_from:
        return f'No checkpoint has been saved since {runner._load_from}, which it was resumed from'
    return 'No checkpoint has been saved yet'
