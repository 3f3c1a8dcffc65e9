"""Stop before a network is scored that a checkpoint fills only in part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

from tfinet_mm.errors import CheckpointMismatchError
from tfinet_mm.registry import HOOKS

SHOWN = 8
"""Number of keys that the error lists before it only counts."""


@HOOKS.register_module()
class CheckpointCheckHook(Hook):
    """Compare the weights of a checkpoint with those of the model.

    MMEngine only logs what doesn't fit and goes on with the weights of the
    initialisation, so a checkpoint of another architecture would be scored as
    a network that nobody trained. Here a test, a validation alone, and a resumed
    training stop. Only a training that starts from a checkpoint (``load_from``)
    may take what fits. Auxiliary heads, which only train, may differ in tests.

    Raises:
        CheckpointMismatchError: Weights are missing, left over or of another shape.
    """

    # After hooks that exchange the weights, such as MMEngine's EMAHook.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._problem: str | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare, before MMEngine puts the weights into the model."""
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        stored = checkpoint.get('state_dict', checkpoint)
        weights = {re.sub(r'^module\.', '', key): value for key, value in stored.items()}
        own = model.state_dict()
        other = {
            key: f'{key} is {tuple(value.shape)}, expected {tuple(own[key].shape)}'
            for key, value in weights.items()
            if key in own and value.shape != own[key].shape
        }
        # By way of the model, since modules may rename the keys of older versions.
        fitting = {key: value for key, value in weights.items() if key not in other}
        found = model.load_state_dict(fitting, strict=False)
        resumed = bool(runner._resume)
        missing = [key for key in found.missing_keys if key not in other]
        parts = [
            f'{len(keys)} {what}: {", ".join(keys[:SHOWN])}{", ..." if len(keys) > SHOWN else ""}'
            for what, keys in (
                ('missing', _counted(missing, resumed)),
                ('of another shape', [other[key] for key in _counted(list(other), resumed)]),
                ('that the model does not have', _counted(found.unexpected_keys, resumed)),
            )
            if keys
        ]
        self._problem = None
        if not parts:
            return
        self._problem = (
            'the checkpoint does not fit the model of the config, weights '
            f'{"; ".join(parts)}. Use the config the checkpoint was trained with; of a published '
            'one, tools/convert_checkpoint.py changes the names'
        )
        if resumed:
            raise CheckpointMismatchError(self._problem)

    def before_train(self, runner: Runner) -> None:
        """Let a training start from weights that fit in part."""
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


def _counted(keys: Sequence[str], resumed: bool) -> list[str]:
    """The keys that matter: no counters of batch norm; auxiliary heads in training only."""
    return [
        key
        for key in keys
        if 'num_batches_tracked' not in key and (resumed or not key.startswith('auxiliary_head'))
    ]
