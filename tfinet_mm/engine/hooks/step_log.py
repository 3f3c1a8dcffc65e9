"""Log the losses of each step, read from a GPU when a line is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmengine.hooks import RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from tfinet_mm.engine.step_values import StepValues, place, reads_after, waits
from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class StepLogHook(RuntimeInfoHook):
    """Put the losses of each step into the log as MMEngine's ``RuntimeInfoHook`` does.

    MMEngine's waits for the GPU in each step. This one keeps the numbers there until a line of
    the log, a checkpoint, a validation or the end of the epoch needs them; the log is the same.
    On the CPU, where nothing is waited for, they are read at once. The norm of clipped gradients
    is treated in the same way. ``SCDRunner`` registers it in place of MMEngine's.

    Args:
        wait: Keep numbers until they are needed, True or False; None does so for those on a GPU.
    """

    def __init__(self, wait: bool | None = None) -> None:
        super().__init__()
        self.wait = wait
        self._values = StepValues()

    def before_train(self, runner: Runner) -> None:
        """Take over the norm of clipped gradients, which the optimizer wrapper would read."""
        super().before_train(runner)
        wrapper: Any = runner.optim_wrapper
        function = getattr(wrapper, 'clip_func', None)
        if function is not None and not isinstance(function, Clipping):
            wrapper.clip_func = Clipping(function)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the numbers of the step, and log all of them when they are needed."""
        values = dict(outputs or {})
        clipping = getattr(runner.optim_wrapper, 'clip_func', None)
        if isinstance(clipping, Clipping) and clipping.norm is not None:
            values[runner.optim_wrapper.grad_name] = clipping.norm
            clipping.norm = None
        self._values.add(place(runner), values)
        wait = waits(values) if self.wait is None else self.wait
        if not wait or reads_after(runner, batch_idx):
            self._log(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Log what is left."""
        self._log(runner)

    def before_val(self, runner: Runner) -> None:
        """Log what is left before a checkpoint of the best scores is saved."""
        self._log(runner)
        super().before_val(runner)

    def after_train(self, runner: Runner) -> None:
        """Log what is left."""
        self._log(runner)
        super().after_train(runner)

    def _log(self, runner: Runner) -> None:
        for _, values in self._values.read():
            for name, value in values.items():
                runner.message_hub.update_scalar(f'train/{name}', value)


class Clipping:
    """Clip gradients as a function of ``torch.nn.utils`` does, and keep their norm as a tensor.

    MMEngine's optimizer wrapper logs what its function returns, and waits for it.

    Attributes:
        norm: Norm of the gradients of the last step; None if there is none.
    """

    def __init__(self, function: Callable[..., Tensor | None]) -> None:
        self.function = function
        self.norm: Tensor | None = None

    def __call__(self, *arguments: Any, **options: Any) -> None:
        """Clip the gradients of parameters, as ``torch.nn.utils.clip_grad_norm_`` does."""
        self.norm = self.function(*arguments, **options)
