"""Test with the calibration of P(changed) that a checkpoint has."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from tfinet_mm.calibration import Calibration
from tfinet_mm.checkpoints.contents import stored_calibrations
from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class CalibrationHook(Hook):
    """Give the model of a test the calibrations of P(changed) of its checkpoint.

    In a training, where the weights change, P(changed) stays as the network predicts it, in
    validation too. ``SCDRunner`` registers the hook.

    Raises:
        CalibrationError: A calibration in the checkpoint can't be used.
    """

    def __init__(self) -> None:
        # None where no checkpoint was loaded: an ensemble reads its calibrations itself.
        self._calibrations: tuple[Calibration, ...] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the calibrations of the checkpoint."""
        self._calibrations = stored_calibrations(checkpoint, str(runner._load_from))

    def before_train(self, runner: Runner) -> None:
        """Drop the calibrations of weights that are going to change, and say so."""
        if self._calibrations:
            print_log(
                f'The calibration of P(changed) in {runner._load_from} is left out, since the '
                'weights change; fit one after the training with tools/test.py --calibrate',
                logger='current',
                level=logging.INFO,
            )
        self._calibrations = ()
        self._give(runner)

    def before_test(self, runner: Runner) -> None:
        """Give them to the model, also if there are none now."""
        self._give(runner)

    def _give(self, runner: Runner) -> None:
        network: Any = unwrapped(runner.model)
        if self._calibrations is not None and hasattr(network, 'calibrations'):
            network.calibrations = self._calibrations
