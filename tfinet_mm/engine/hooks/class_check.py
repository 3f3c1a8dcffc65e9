"""Stop before a model is trained or scored on classes that aren't its own."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.errors import ClassMismatchError
from tfinet_mm.models.foreign import land_cover_classes
from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Compare the classes of model, data sets and checkpoint.

    The number of land-cover classes of the model must be that of every data
    set it is run on. The class names that a checkpoint was trained on must be
    those of the data set when it is tested or its training resumes, and so must
    those of the members of an ensemble. Fine-tuning (``load_from``) on other
    classes is only logged.

    Raises:
        ClassMismatchError: They differ.
    """

    def __init__(self) -> None:
        self._trained_on: tuple[str, ...] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the classes that the checkpoint was trained on."""
        meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
        names = meta.get('semantic_classes')
        self._trained_on = None if names is None else tuple(names)

    def before_train(self, runner: Runner) -> None:
        """Check the training data and, in a resumed run, the checkpoint."""
        metainfo = runner.train_dataloader.dataset.metainfo
        self._check_number(runner, metainfo, 'training')
        self._check_names(metainfo, 'training', strict=runner._resume)

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        self._check_number(runner, runner.val_dataloader.dataset.metainfo, 'validation')

    def before_test(self, runner: Runner) -> None:
        """Check the test data and the checkpoint."""
        metainfo = runner.test_dataloader.dataset.metainfo
        self._check_number(runner, metainfo, 'test')
        self._check_names(metainfo, 'test', strict=True)
        self._check_members(runner, metainfo)

    @staticmethod
    def _check_number(runner: Runner, metainfo: dict[str, Any], role: str) -> None:
        number = land_cover_classes(unwrapped(runner.model))
        names = metainfo.get('semantic_classes')
        if number is None or names is None:
            return
        # In some of Open-CD's data sets the first name is a class, not "unchanged".
        if number == len(names) - (metainfo.get('reduce_semantic_zero_label') is not False):
            return
        raise ClassMismatchError(
            f'the model has {number} land-cover classes, the {role} data set {len(names) - 1}: '
            f'{", ".join(names[1:])}; set num_classes of model.semantic_head (and its class '
            'weights), or use another data set'
        )

    def _check_names(self, metainfo: dict[str, Any], role: str, strict: bool) -> None:
        names = metainfo.get('semantic_classes')
        if self._trained_on is None or names is None or tuple(names) == self._trained_on:
            return
        message = (
            f'the checkpoint was trained on the classes {", ".join(self._trained_on)}; '
            f'the {role} data set has {", ".join(names)}'
        )
        if strict:
            raise ClassMismatchError(f'{message}; use the data set or the checkpoint that fits')
        print_log(message, logger='current')

    @staticmethod
    def _check_members(runner: Runner, metainfo: dict[str, Any]) -> None:
        """Compare the classes of an ensemble, whose members agree, with those of the test data."""
        trained_on = getattr(unwrapped(runner.model), 'trained_on', None)
        names = metainfo.get('semantic_classes')
        if trained_on is None or names is None or tuple(names) == trained_on[1]:
            return
        raise ClassMismatchError(
            f'the member {trained_on[0]} of the ensemble was trained on the classes '
            f'{", ".join(trained_on[1])}; the test data set has {", ".join(names)}; use the data '
            'set or the members that fit'
        )
