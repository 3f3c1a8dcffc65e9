"""Pseudo labels during training: an averaged copy of the network labels unchanged pixels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce_params
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from tfinet_mm.engine.hooks.sample_info import class_table
from tfinet_mm.models.detectors.augmentation import augmented_probabilities, check_transforms
from tfinet_mm.pseudo_labels.selection import Selection, per_class
from tfinet_mm.pseudo_labels.teacher import (
    MeanTeacher,
    TeacherLabels,
    changed_sample,
    filled_sample,
    sample_with_change,
    teacher_labels,
)
from tfinet_mm.pseudo_labels.weights import check_weight
from tfinet_mm.registry import HOOKS
from tfinet_mm.structures import (
    ALL_ROLES,
    GT_CHANGE,
    GT_FROM,
    GT_TO,
    LAND_COVER_ROLE,
    SCDProbabilities,
)

STATE_KEY = 'mean_teacher'
"""Key of the teacher in a checkpoint."""


@HOOKS.register_module()
class MeanTeacherHook(Hook):
    """Label the unchanged pixels of each batch with the moving average of the network.

    This is the online variant of pseudo labels: one training takes the place of
    a first training, ``tools/pseudo_label.py`` and a second training. From the
    first iteration on, a teacher follows the network (:class:`MeanTeacher`).
    After the warm-up it predicts each batch before the network trains on it.
    Where the annotation says unchanged without a class, the teacher's likeliest
    class over both dates becomes the label of both, if it is sure enough. The
    network then trains on it with the same loss.

    Only the pairs of the batch get new labels; the data set stays as it is. The
    teacher is saved in checkpoints that hold an optimizer, and restored from
    them; it is not part of the network's weights. The log has ``pseudo_share``,
    the share of unlabelled unchanged pixels that were labelled, and
    ``pseudo_confidence``, the teacher's mean confidence in all of these. Both
    are those of the first process.

    In a training of change alone, without land cover, the hook labels the change of pairs
    without any label. Without ``change_threshold`` it makes no labels, and the log says so.

    Args:
        momentum: Share that the average keeps in each iteration, at least 0 and
            below 1. MMEngine's ``EMAHook`` takes the share of the network
            instead (0.001 there is 0.999 here).
        warmup: Epochs (iterations without ``by_epoch``) before labels are made.
        by_epoch: Count ``warmup`` in epochs, not in iterations.
        threshold: Least confidence of a label, 0..1.
        class_thresholds: The same by class: K numbers, or some by name.
        max_change_prob: Leave out pixels whose P(changed), by the teacher, is
            above this, 0..1.
        weight: Weight of such a pixel in the loss of land cover: None for that
            of an annotated one, a number above 0, or ``'confidence'``.
        change_threshold: Least confidence, 0.5..1, at which the teacher labels pixels of pairs
            without any label as changed or unchanged. Changed pixels get the class of each date.
            None leaves such pairs unlabelled. They are those of a data set with
            ``change_storage='unknown'`` and no folders of labels.
        transforms: Flips and rotations that the teacher averages over, names
            from :data:`~tfinet_mm.models.detectors.augmentation.TTA_TRANSFORMS`;
            each costs one more forward pass.

    Raises:
        ValueError: An option is out of its range; the training ends before the
            warm-up does; the model gives no probabilities; or a pair has no
            labels, or labels of another size.
    """

    def __init__(
        self,
        momentum: float = 0.999,
        warmup: int = 5,
        by_epoch: bool = True,
        threshold: float = 0.9,
        class_thresholds: Sequence[float] | Mapping[str, float] | None = None,
        max_change_prob: float | None = None,
        weight: float | str | None = None,
        transforms: Sequence[str] = ('identity',),
        change_threshold: float | None = None,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f'momentum has to be at least 0 and below 1, got {momentum}')
        if warmup < 0:
            raise ValueError(f'warmup has to be 0 or more, got {warmup}')
        self.momentum = momentum
        self.warmup = warmup
        self.by_epoch = by_epoch
        self.selection = Selection(
            threshold, class_thresholds=class_thresholds, max_change_prob=max_change_prob
        )
        if change_threshold is not None and not 0.5 < change_threshold <= 1:
            raise ValueError(
                f'change_threshold has to be above 0.5, at most 1, got {change_threshold!r}'
            )
        self.change_threshold = change_threshold
        self.weight = check_weight(weight)
        self.transforms = check_transforms(transforms)
        self._stored: dict[str, Tensor] | None = None
        self._thresholds = torch.empty(0)
        self._idle = False
        self._covered = True
        self.teacher: MeanTeacher | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the teacher of a training that is resumed."""
        self._stored = checkpoint.get(STATE_KEY) if runner._resume else None
        if runner._resume and self._stored is None:
            print_log(
                'The checkpoint holds no mean teacher: a new one starts from its weights',
                logger='current',
                level=logging.WARNING,
            )

    def before_train(self, runner: Runner) -> None:
        """Copy the network, or take the teacher of the checkpoint."""
        model = _unwrapped(runner.model)
        if not hasattr(model, 'predict_probabilities'):
            raise ValueError(
                'MeanTeacherHook needs a model that gives probabilities, such as '
                f'tfinet_mm.SemanticChangeDetector, got {type(model).__name__}'
            )
        self._covered = LAND_COVER_ROLE in getattr(model, 'trained_roles', ALL_ROLES)
        if not self._covered and self.change_threshold is None:
            print_log(
                'MeanTeacherHook labels land cover, which no training pair has: it makes no labels '
                'without change_threshold',
                logger='current',
                level=logging.WARNING,
            )
            self._idle = True
            return
        total = runner.max_epochs if self.by_epoch else runner.max_iters
        if self.warmup >= total:
            unit = 'epochs' if self.by_epoch else 'iterations'
            raise ValueError(
                f'the training ends after {total} {unit}, before the warm-up of {self.warmup} '
                'does; shorten warmup, or count iterations (by_epoch=False)'
            )
        table = class_table(runner.train_dataloader)
        self._thresholds = torch.tensor(
            per_class(
                self.selection.class_thresholds,
                table,
                self.selection.threshold,
                'class_thresholds',
            )
        )
        self.teacher = MeanTeacher(model, self.momentum)
        if self._stored is not None:
            self.teacher.load_state_dict(self._stored)
            self._stored = None

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        """Label the unchanged pixels of the batch that have no class."""
        done = runner.epoch if self.by_epoch else runner.iter
        if done < self.warmup or data_batch is None or self._idle:
            return
        samples: Sequence[SegDataSample] = data_batch['data_samples']
        fields = (GT_CHANGE, GT_FROM, GT_TO) if self._covered else (GT_CHANGE,)
        for sample, image in zip(samples, data_batch['inputs'], strict=True):
            _check_labels(sample, tuple(image.shape[-2:]), fields)
        found = self._probabilities(data_batch['inputs'])
        if not self._covered and self.change_threshold is not None:
            data_batch['data_samples'] = [
                sample_with_change(sample, found.change[index], self.change_threshold)
                for index, sample in enumerate(samples)
            ]
            return
        labels = teacher_labels(found, self._thresholds, self.selection.max_change_prob)
        filled = []
        counts = torch.zeros(3, dtype=torch.float64, device=labels.cover.device)
        for index, sample in enumerate(samples):
            one = TeacherLabels(*(maps[index] for maps in labels))
            if self.change_threshold is not None:
                pair = SCDProbabilities(*(maps[index] for maps in found))
                options = (self._thresholds, self.change_threshold, self.weight)
                sample = changed_sample(sample, pair, *options)
            new, count = filled_sample(sample, one, self.weight)
            filled.append(new)
            counts += count
        data_batch['data_samples'] = filled
        empty, kept, confidence = counts.tolist()
        if empty:
            runner.message_hub.update_scalar('train/pseudo_share', kept / empty)
            runner.message_hub.update_scalar('train/pseudo_confidence', confidence / empty)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Move the teacher towards the network."""
        if self.teacher is not None:
            self.teacher.update_parameters(_unwrapped(runner.model))

    def after_train_epoch(self, runner: Runner) -> None:
        """Average the teacher over processes, since the first one saves it for all."""
        if self.teacher is not None:
            # Only batch-norm statistics differ by process; the weights agree as the networks' do.
            buffers = self.teacher.module.buffers()
            all_reduce_params([b for b in buffers if b.is_floating_point()], op='mean')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Save the teacher in checkpoints that a training can be resumed from."""
        if self.teacher is not None and 'optimizer' in checkpoint:
            state = self.teacher.state_dict()
            checkpoint[STATE_KEY] = {name: value.cpu() for name, value in state.items()}

    @torch.no_grad()
    def _probabilities(self, images: Sequence[Tensor] | Tensor) -> SCDProbabilities:
        """Return the teacher's predictions of raw pairs (2B, H, W), of one size or of several."""
        if self.teacher is None:
            raise RuntimeError('there is no teacher before the training has begun')
        model = self.teacher.module
        # As in training, which pads pairs of different sizes at the right and at the bottom.
        inputs = model.data_preprocessor(dict(inputs=images), training=True)['inputs']
        return augmented_probabilities(model, inputs, self.transforms)


def _check_labels(sample: SegDataSample, size: tuple[int, int], fields: Sequence[str]) -> None:
    for field in fields:
        if field not in sample:
            raise ValueError(
                f'MeanTeacherHook completes annotated pairs, but one has no {field}; put '
                'tfinet_mm.LoadPairAnnotations in the train pipeline'
            )
        shape = tuple(getattr(sample, field).data.shape[-2:])
        if shape != size:
            raise ValueError(
                f'{field} is {shape} (H, W), but its image is {size}; a transform of the pipeline '
                'changed only one of them: list the map in seg_fields'
            )


def _unwrapped(model: nn.Module) -> Any:
    return model.module if is_model_wrapper(model) else model
