"""Stop before scoring a network that a checkpoint fills only in part."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from tfinet_mm.checkpoints.contents import check_contents
from tfinet_mm.checkpoints.weights import load_weights, unwrapped
from tfinet_mm.errors import CheckpointMismatchError
from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class CheckpointCheckHook(Hook):
    """Compare the weights of a checkpoint with those of the model.

    MMEngine only logs weights that don't fit and keeps those of the
    initialisation, so a checkpoint of another architecture would be scored as
    an untrained network. Here a test, a validation alone, and a resumed training
    stop. Only a training that starts from a checkpoint (``load_from``) may take
    the weights that fit. Auxiliary heads, which tests don't use, may differ there.

    Raises:
        CheckpointMismatchError: Weights are missing, left over, or of another shape
            or kind of number.
        NotFiniteWeightsError: A weight is NaN or infinite.
    """

    # After hooks that exchange the weights, such as MMEngine's EMAHook.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._problem: str | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare the weights before MMEngine puts them into the model."""
        # Runners other than this package's don't check this.
        check_contents(checkpoint, 'the checkpoint')
        resumed = bool(runner._resume)
        self._problem = load_weights(unwrapped(runner.model), checkpoint, training=resumed)
        if resumed and self._problem is not None:
            raise CheckpointMismatchError(self._problem)

    def before_train(self, runner: Runner) -> None:
        """Let a training start from weights that fit in part, with a warning."""
        if self._problem is not None:
            print_log(
                f'{self._problem} The training starts with those weights of load_from that fit.',
                logger='current',
                level=logging.WARNING,
            )
        self._problem = None

    def before_val(self, runner: Runner) -> None:
        """Stop a validation of weights that don't fit."""
        self._stop()

    def before_test(self, runner: Runner) -> None:
        """Stop a test of weights that don't fit."""
        self._stop()

    def _stop(self) -> None:
        if self._problem is not None:
            raise CheckpointMismatchError(self._problem)
