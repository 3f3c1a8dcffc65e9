"""Keep the numbers of training steps on their device, and read those of many steps together.

Reading a number of a GPU waits until everything before it has been computed, so that a step
which reads its losses leaves the GPU idle while the next one is prepared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.runner import Runner
from torch import Tensor


class StepValues:
    """Numbers of steps that haven't been read.

    Example:
        >>> values = StepValues()
        >>> values.add('step 1', {'loss': torch.tensor(0.5), 'lr': 0.1})
        >>> values.add('step 2', {'loss': torch.tensor(0.25)})
        >>> values.read()
        [('step 1', {'loss': 0.5, 'lr': 0.1}), ('step 2', {'loss': 0.25})]
        >>> values.read()
        []
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, dict[str, Any]]] = []

    def add(self, step: str, values: Mapping[str, Any]) -> None:
        """Keep the numbers of a step.

        Args:
            step: Name of the step, for messages.
            values: Numbers, or tensors of one element.
        """
        kept = {
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        self._steps.append((step, kept))

    def read(self) -> list[tuple[str, dict[str, float]]]:
        """Return the numbers of all steps since the last call, in their order.

        Tensors of one type on one device are read by one copy.
        """
        steps, self._steps = self._steps, []
        groups: dict[Any, list[tuple[int, str]]] = {}
        read: list[dict[str, float]] = []
        for index, (_, values) in enumerate(steps):
            # In the order of the step, although tensors are filled in later.
            read.append(dict.fromkeys(values, 0.0))
            for name, value in values.items():
                if isinstance(value, Tensor):
                    key = value.device, value.dtype
                    groups.setdefault(key, []).append((index, name))
                else:
                    read[index][name] = float(value)
        for places in groups.values():
            tensors = [steps[index][1][name].reshape(()) for index, name in places]
            for (index, name), number in zip(places, torch.stack(tensors).tolist(), strict=True):
                read[index][name] = float(number)
        return [(step, values) for (step, _), values in zip(steps, read, strict=True)]


def place(runner: Runner) -> str:
    """Return the name of the present step, counted from 1, with its epoch if there are any."""
    iteration = f'iteration {runner.iter + 1}'
    if hasattr(runner.train_loop, 'dataloader_iterator'):
        return iteration
    return f'{iteration} (epoch {runner.epoch + 1})'


def waits(outputs: Mapping[str, Any]) -> bool:
    """Return whether reading the numbers of a step would wait for a device."""
    return any(isinstance(one, Tensor) and one.device.type != 'cpu' for one in outputs.values())


def reads_after(runner: Runner, batch_idx: int) -> bool:
    """Return whether something needs the numbers of the steps up to this one.

    That is a line of the log, a checkpoint, a validation or the end of an epoch.

    Args:
        runner: The runner, after a step.
        batch_idx: Index of the batch in its loop.
    """
    loop: Any = runner.train_loop
    loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
    validates = getattr(loop, 'val_interval', 0) if hasattr(loop, 'dataloader_iterator') else 0
    return (
        any(hook.every_n_inner_iters(batch_idx, hook.interval) for hook in loggers)
        or (bool(validates) and (runner.iter + 1) % validates == 0)
        or batch_idx + 1 == len(runner.train_dataloader)
        or runner.iter + 1 >= runner.max_iters
        or saves_after(runner)
    )


def saves_after(runner: Runner) -> bool:
    """Return whether MMEngine saves a checkpoint, and may remove one, after this iteration."""
    return any(
        isinstance(hook, CheckpointHook)
        and not hook.by_epoch
        and (
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or (hook.save_last and hook.is_last_train_iter(runner))
        )
        for hook in runner.hooks
    )
