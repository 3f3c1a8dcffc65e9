"""Train and validate with pairs that have change masks and no land cover."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner

from tfinet_mm.checkpoints.contents import ROLES_KEY, trained_roles
from tfinet_mm.engine.land_cover import (
    change_only_pairs,
    check_change_labels,
    check_scored_change,
    check_wrapper,
    choose_best_by_change,
    describe_training,
    diluted_heads,
    is_partly_labelled,
    is_untrained,
    set_trained_roles,
    with_land_cover,
)
from tfinet_mm.registry import HOOKS
from tfinet_mm.structures import ALL_ROLES, CHANGE_ONLY, LAND_COVER_ROLE


@HOOKS.register_module()
class LandCoverHook(Hook):
    """Fit the losses, the best checkpoint and its notes to the land cover of the data.

    If no training pair has land cover, change alone is trained: the losses of land
    cover are left out, the log says so, and checkpoints note it as
    ``meta['trained_roles']``. If some pairs have it, the others take part with land
    cover that is unknown everywhere. If no validation pair has it, ``change/IoU``
    chooses the best checkpoint in place of a score of land cover.
    ``SCDRunner`` registers the hook.

    Raises:
        ConfigError: Change alone is trained, by several processes that would wait for
            gradients of the semantic head; or no pair to train on or to score has labels of
            change.
    """

    # Before all hooks that look at the data samples, such as that of the mean teacher.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._roles: tuple[str, ...] = ALL_ROLES
        self._mixed = self._partly = False
        self._tested: tuple[str, ...] = ALL_ROLES

    def before_run(self, runner: Runner) -> None:
        """Decide what is trained, and which score chooses the best checkpoint."""
        for role in ('val', 'test'):
            loop = getattr(runner, f'_{role}_loop')
            if isinstance(loop, BaseLoop):
                check_scored_change(loop, role)
        if not isinstance(runner._train_loop, BaseLoop):
            return
        dataset: Any = runner.train_dataloader.dataset
        check_change_labels(dataset, runner.hooks)
        self._roles = set_trained_roles(runner.model, dataset)
        self._mixed = LAND_COVER_ROLE in self._roles and change_only_pairs(dataset)[0] > 0
        self._partly = is_partly_labelled(dataset, self._roles)
        if LAND_COVER_ROLE not in self._roles:
            check_wrapper(runner.model)
        if (said := describe_training(dataset, self._roles)) is not None:
            print_log(said, logger='current', level=logging.INFO)
        if self._partly and (diluted := diluted_heads(runner.model)):
            print_log(
                f'The loss of {", ".join(diluted)} is a mean over all pixels, so that it shrinks '
                'where pairs lack labels; set avg_non_ignore=True in mmseg.CrossEntropyLoss, or '
                'use tfinet_mm.SemanticCELoss and tfinet_mm.ChangeBCELoss',
                logger='current',
                level=logging.WARNING,
            )
        choose_best_by_change(runner)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        """Complete the pairs without land cover by maps on which it is unknown."""
        if self._mixed and data_batch is not None and data_batch.get('data_samples'):
            data_batch['data_samples'] = with_land_cover(data_batch['data_samples'])

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note that change alone was trained."""
        if self._roles != ALL_ROLES:
            checkpoint['meta'][ROLES_KEY] = list(self._roles)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep what the checkpoint was trained on."""
        self._tested = trained_roles(checkpoint)

    def before_test(self, runner: Runner) -> None:
        """Warn of predictions of land cover that were never trained."""
        if is_untrained(runner.model, self._tested):
            print_log(
                'The checkpoint was trained on change alone: its land cover is untrained. What '
                f'changed is the one class {CHANGE_ONLY.names[1]!r} in written maps, and the '
                'classes in pictures and scores mean nothing',
                logger='current',
                level=logging.WARNING,
            )
