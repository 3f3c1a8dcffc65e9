"""Let a resumed training end as one that was never killed."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from tfinet_mm.engine.best_checkpoint import adopt_best
from tfinet_mm.engine.hooks.randomness import reseed_samples
from tfinet_mm.engine.schedule import ConfigSchedules, check_schedule, storable_state
from tfinet_mm.registry import HOOKS

VALIDATED = 'last_validated_iter'
"""Key of the iteration of the last validation in a checkpoint; keys in 'val' are logged."""


@HOOKS.register_module()
class ResumeHook(Hook):
    """Find the best checkpoint, and validate where the training was killed before it could.

    MMEngine saves an epoch before it validates it. A training that is resumed
    from such a checkpoint validates first. Before any training it reports schedules that
    end too early. ``SCDRunner`` registers it.

    Raises:
        ScheduleError: The training was resumed for more epochs than planned, in
            which the learning rate would be 0.
    """

    # After MMEngine's CheckpointHook has found its folder, and all checks.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.checkpoint: dict[str, Any] = {}
        self._resumed: dict[str, Any] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the schedules of the checkpoint for :meth:`before_train`."""
        self.checkpoint = {key: checkpoint.get(key) for key in ('optimizer', 'param_schedulers')}

    def resumed(self, runner: Runner) -> None:
        """Read the checkpoint's notes on the training, before MMEngine overwrites them.

        Args:
            runner: The runner.
        """
        self.checkpoint = {}
        self._resumed = dict(runner.message_hub.runtime_info)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Leave out functions of schedulers, which a reader of the checkpoint would refuse."""
        saved = checkpoint.get('param_schedulers')
        for states in saved.values() if isinstance(saved, dict) else (saved or [],):
            states[:] = map(storable_state, states)

    def before_train(self, runner: Runner) -> None:
        """Check the schedule; in a resumed run find the best checkpoint and catch up."""
        info, self._resumed = self._resumed, None
        counts = not isinstance(runner.train_loop, IterBasedTrainLoop)
        planned = (info or {}).get('max_epochs' if counts else 'max_iters')
        check_schedule(runner, planned)
        if info is None:
            return
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                adopt_best(runner, hook)
        self._validate(runner, info)
        done, total, unit = _progress(runner)
        if done >= total:
            print_log(
                f'Nothing is left to train: the checkpoint is of {unit} {done} of {total}; to '
                f'train longer, raise train_cfg.max_{unit}s',
                logger='current',
                level=logging.WARNING,
            )

    def before_val_epoch(self, runner: Runner) -> None:
        """Note that the weights of this iteration have been validated."""
        if runner._train_loop is not None:
            runner.message_hub.update_info(VALIDATED, runner.iter)

    @staticmethod
    def _validate(runner: Runner, info: dict[str, Any]) -> None:
        """Validate where a training that was never killed would have done so next."""
        loop = runner.train_loop
        if (
            not isinstance(loop, EpochBasedTrainLoop | IterBasedTrainLoop)
            or runner.val_loop is None
            or info.get(VALIDATED) == loop.iter
        ):
            return
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        if by_epoch and info.get('epoch') != loop.epoch - 1:
            return  # saved within an epoch
        done, total, unit = _progress(runner)
        loop._decide_current_val_interval()
        if done < loop.val_begin or (done % loop.val_interval and done != total):
            return
        print_log(f'Validating {unit} {done}, from which the training is resumed', logger='current')
        # The counters of MMEngine's RuntimeInfoHook are one behind between two epochs.
        counters = dict(iter=loop.iter - 1) | (dict(epoch=loop.epoch - 1) if by_epoch else {})
        now = {name: runner.message_hub.get_info(name) for name in counters}
        runner.message_hub.update_info_dict(counters)
        runner.val_loop.run()
        runner.message_hub.update_info_dict(now)


class Resumption:
    """State that a run has from its config, kept while a checkpoint replaces it.

    Args:
        runner: The runner with its optimizer and schedulers just built.
    """

    def __init__(self, runner: Runner) -> None:
        self._schedules = ConfigSchedules(runner)

    def finish(self, runner: Runner, optimizer: bool, schedulers: bool) -> None:
        """Set the schedules by those of the checkpoint, and seed the samples by its seed.

        Args:
            runner: The runner, which has loaded everything but the schedules.
            optimizer: The runner has loaded the optimizer, if the checkpoint has one.
            schedulers: Set the schedules to the step of the checkpoint.
        """
        hook = next(hook for hook in runner.hooks if isinstance(hook, ResumeHook))
        if optimizer and hook.checkpoint['optimizer'] is not None:
            self._schedules.warn_of_other_rates(runner)
        if schedulers and runner.param_schedulers is not None:
            self._schedules.resume(runner, hook.checkpoint['param_schedulers'])
        elif schedulers and optimizer:
            self._schedules.leave_out(runner)
        reseed_samples(runner)
        hook.resumed(runner)


def _progress(runner: Runner) -> tuple[int, int, str]:
    loop = runner.train_loop
    if isinstance(loop, IterBasedTrainLoop):
        return loop.iter, loop.max_iters, 'iter'
    return loop.epoch, loop.max_epochs, 'epoch'
