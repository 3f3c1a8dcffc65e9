"""State how the samples of another package's detector count their classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.conventions import CONVENTION, check_convention, convention_of
from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class LabelConventionHook(Hook):
    """Let this package's hooks draw, write and report what a detector of Open-CD's predicts.

    They refuse its samples without. The scores need the option ``convention`` of
    :class:`~tfinet_mm.evaluation.SCDMetric` besides, which sees the samples before any hook.

    Args:
        convention: A name of :data:`tfinet_mm.conventions.CONVENTIONS`.

    Raises:
        ValueError: It is another.
        LabelValueError: Later: a sample states another convention.
    """

    # Before the hooks that read the samples.
    priority = 'VERY_HIGH'

    def __init__(self, convention: str) -> None:
        check_convention(convention)
        self.convention = convention

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = 'train',
    ) -> None:
        """State the convention in the samples that were predicted.

        Args:
            runner: Not used.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Data samples with predictions; in training, losses.
            mode: ``'train'``, ``'val'`` or ``'test'``.
        """
        if mode == 'train' or outputs is None or isinstance(outputs, dict):
            return
        for sample in outputs:
            sample.set_metainfo({CONVENTION: convention_of(sample, self.convention)})
