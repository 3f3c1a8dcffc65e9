"""Fit a training to the land cover that its pairs have: in all of them, in some or in none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmengine.structures import PixelData
from torch import nn

from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.datasets.annotations import FROM, TO
from tfinet_mm.errors import ConfigError
from tfinet_mm.evaluation import SCDMetric
from tfinet_mm.evaluation.score_table import CHANGE_SCORES
from tfinet_mm.models.foreign import land_cover_classes
from tfinet_mm.models.losses.roles import averages_ignored
from tfinet_mm.structures import (
    ALL_ROLES,
    CHANGE_ROLE,
    GT_CHANGE,
    GT_FROM,
    GT_TO,
    IGNORE_INDEX,
    LAND_COVER_ROLE,
)

BEST = 'change/IoU'
"""Score that chooses the best checkpoint where the land cover of no pair is annotated."""


def change_only_pairs(dataset: Any) -> tuple[int, int]:
    """Return the number of pairs with change masks and no land cover, and of all pairs.

    Args:
        dataset: A data set, or a wrapper of one or of several. Pairs of data sets of other
            packages count as pairs with land cover.
    """
    own = getattr(dataset, 'change_only', None)
    if own is not None:
        return (len(dataset) if own else 0), len(dataset)
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner == [None]:
        return 0, len(dataset)
    found = [change_only_pairs(one) for one in inner]
    return sum(one for one, _ in found), sum(every for _, every in found)


class LabelledPairs(NamedTuple):
    """Number of pairs that have each kind of labels.

    Attributes:
        pairs: All pairs.
        cover_from: Pairs with land cover before.
        cover_to: Pairs with land cover after.
        change: Pairs with labels of change.
    """

    pairs: int
    cover_from: int
    cover_to: int
    change: int

    @property
    def partly(self) -> bool:
        """Return whether some pairs lack a kind of labels."""
        return min(self) < self.pairs


def labelled_pairs(dataset: Any) -> LabelledPairs:
    """Return the number of pairs that have each kind of labels.

    Args:
        dataset: A data set, or a wrapper of one or of several. Pairs of data sets of other
            packages count as pairs with all kinds.
    """
    change_only = getattr(dataset, 'change_only', None)
    if change_only is None:
        inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
        if inner == [None]:
            return LabelledPairs(*[len(dataset)] * 4)
        counts = zip(*map(labelled_pairs, inner), strict=True)
        return LabelledPairs(*map(sum, counts))
    pairs = len(dataset)
    covered = not (change_only or getattr(dataset, 'without_labels', False))
    # Generated pairs have no folders, and all labels.
    dates = getattr(dataset, 'labelled_dates', ()) or (FROM, TO)
    return LabelledPairs(
        pairs,
        pairs * (covered and FROM in dates),
        pairs * (covered and TO in dates),
        pairs * (not getattr(dataset, 'without_change', False)),
    )


def _without_labels(dataset: Any) -> bool:
    """Return whether a data set, or one within it, has pairs without any label."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if getattr(dataset, 'without_labels', False):
        return True
    return any(_without_labels(one) for one in inner if one is not None)


def roles_of(dataset: Any) -> tuple[str, ...]:
    """Return what a data set trains: ``'land_cover'`` and ``'change'``, or change alone."""
    found = labelled_pairs(dataset)
    covered = found.cover_from or found.cover_to or not found.pairs
    return ALL_ROLES if covered else (CHANGE_ROLE,)


def is_partly_labelled(dataset: Any, roles: Sequence[str]) -> bool:
    """Return whether some pairs of a data set lack a kind of labels that is trained.

    Args:
        dataset: The data set of the training.
        roles: What is trained, see :func:`roles_of`.
    """
    found = labelled_pairs(dataset)
    return found.partly if LAND_COVER_ROLE in roles else found.change < found.pairs


def set_trained_roles(model: nn.Module, dataset: Any) -> tuple[str, ...]:
    """Let a detector train change alone if no pair of a data set has land cover.

    Args:
        model: The detector, wrapped or not; others stay as they are.
        dataset: The data set of the training.

    Returns:
        What is trained, see :func:`roles_of`. The attribute ``partly_labelled`` of the detector
        says whether some pairs lack labels.
    """
    roles = roles_of(dataset)
    network: Any = unwrapped(model)
    if hasattr(network, 'trained_roles'):
        network.trained_roles = roles
    if hasattr(network, 'partly_labelled'):
        network.partly_labelled = is_partly_labelled(dataset, roles)
    return roles


def check_change_labels(dataset: Any, hooks: Sequence[Any] = ()) -> None:
    """Refuse a training in which no pair has labels of change, or some never get any label.

    Args:
        dataset: The data set of the training.
        hooks: The hooks of the training; one with ``change_threshold`` labels the pairs that have
            no labels.

    Raises:
        ConfigError: It is such a training.
    """
    labelling = any(getattr(one, 'change_threshold', None) is not None for one in hooks)
    if not labelling and _without_labels(dataset):
        raise ConfigError(
            "training pairs have no labels (change_storage='unknown' without folders of labels), "
            "and nothing makes any; add dict(type='tfinet_mm.MeanTeacherHook', "
            'change_threshold=0.9) to custom_hooks, or leave the data set out'
        )
    found = labelled_pairs(dataset)
    if found.pairs and not found.change:
        raise ConfigError(
            f'none of the {found.pairs} training pairs has labels of change (change_storage='
            "'unknown'), so that the change head would learn nothing; add a data set with change "
            'masks or labels of both dates, by ConcatDataset'
        )


def check_scored_change(loop: BaseLoop, role: str) -> None:
    """Refuse scores over pairs of which none has labels of change: they would all be 0.

    Args:
        loop: A loop that scores, with its data loader and evaluator.
        role: ``'val'`` or ``'test'``, for messages.

    Raises:
        ConfigError: No pair has labels of change, and there is an ``SCDMetric``.
    """
    metrics = getattr(getattr(loop, 'evaluator', None), 'metrics', ())
    if not any(isinstance(one, SCDMetric) for one in metrics):
        return
    found = labelled_pairs(loop.dataloader.dataset)
    if not found.pairs or found.change == found.pairs:
        return
    if not found.change:
        raise ConfigError(
            f'none of the {found.pairs} pairs of {role}_dataloader has labels of change '
            "(change_storage='unknown'), and all scores are of change or of what changed; score "
            f'pairs with labels of change, or predict without scores by {role}_evaluator=[]'
        )
    print_log(
        f'{found.change} of {found.pairs} pairs of {role}_dataloader have labels of change: '
        'scores are over those',
        logger='current',
        level=logging.INFO,
    )


def diluted_heads(model: nn.Module) -> list[str]:
    """Return the heads of a detector whose losses shrink as fewer pixels are labelled.

    Args:
        model: The network, wrapped or not; of others than detectors, none are returned.
    """
    network: Any = unwrapped(model)
    heads = {name: getattr(network, name, None) for name in ('semantic_head', 'change_head')}
    for index, head in enumerate(getattr(network, 'auxiliary_heads', ())):
        heads[f'auxiliary_head[{index}]'] = head
    return [name for name, head in heads.items() if averages_ignored(head)]


def is_untrained(model: nn.Module, roles: Sequence[str]) -> bool:
    """Return whether a tested network has several classes of land cover, of which none was trained.

    Args:
        model: The network, wrapped or not.
        roles: What its checkpoint was trained on; an ensemble knows this itself.
    """
    network: Any = unwrapped(model)
    known = set(roles) & set(getattr(network, 'trained_roles', ALL_ROLES))
    return LAND_COVER_ROLE not in known and (land_cover_classes(network) or 0) > 1


def with_land_cover(samples: Sequence[Any]) -> list[Any]:
    """Return samples that all have maps of land cover, 255 (unknown) in those without.

    Args:
        samples: Data samples with ``gt_sem_seg`` (1, H, W); they aren't changed.
    """
    filled = []
    for sample in samples:
        if GT_CHANGE in sample and not any(field in sample for field in (GT_FROM, GT_TO)):
            sample = sample.clone()
            unknown = torch.full_like(getattr(sample, GT_CHANGE).data, IGNORE_INDEX)
            for field in (GT_FROM, GT_TO):
                sample.set_field(PixelData(data=unknown.clone()), field)
        filled.append(sample)
    return filled


def check_wrapper(model: nn.Module) -> None:
    """Refuse a wrapper that waits for the gradients of the head that isn't trained.

    Raises:
        ConfigError: ``find_unused_parameters`` is off.
    """
    if not getattr(model, 'find_unused_parameters', True):
        raise ConfigError(
            'the land cover of no training pair is annotated, so that the semantic head gets no '
            'gradient, and data-parallel training would wait for it; set '
            'find_unused_parameters = True in the config'
        )


def choose_best_by_change(runner: Runner) -> None:
    """Let change choose the best checkpoint if no pair to validate on has land cover.

    Args:
        runner: The runner of a training, whose loops are built. A ``save_best`` that names a
            score of land cover becomes ``change/IoU``, and the log says so.
    """
    if not isinstance(runner._val_loop, BaseLoop):
        return
    change_only, pairs = change_only_pairs(runner.val_dataloader.dataset)
    if not change_only or change_only < pairs:
        return
    new: dict[str, str] = {}
    for metric in runner.val_evaluator.metrics:
        if isinstance(metric, SCDMetric):
            start = f'{metric.prefix}/' if metric.prefix else ''
            missing = [name for name in metric.result_names if name not in CHANGE_SCORES]
            new |= dict.fromkeys([start + name for name in missing], start + BEST)
    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook) or not hook.save_best:
            continue
        replaced = [key for key in hook.key_indicators if key in new]
        if not replaced:
            continue
        rules = dict(zip(hook.key_indicators, hook.rules, strict=True))
        kept = {new.get(key, key): rule for key, rule in rules.items()}
        hook._init_rule(list(kept.values()), list(kept))
        if len(kept) == 1:
            hook.best_ckpt_path = None
        print_log(
            f'save_best={", ".join(replaced)}: no validation pair has annotated land cover, so '
            f'that {", ".join(dict.fromkeys(new[key] for key in replaced))} chooses the best '
            'checkpoint',
            logger='current',
            level=logging.WARNING,
        )


def describe_training(dataset: Any, roles: Sequence[str]) -> str | None:
    """Return which losses a data set trains, where some or all of its pairs lack land cover."""
    found = labelled_pairs(dataset)
    if LAND_COVER_ROLE not in roles:
        some = f'; {found.change} of {found.pairs} pairs have labels of it'
        return (
            'Land cover is not annotated in any training pair: only change is trained, and the '
            'losses of land cover are left out' + (some if found.change < found.pairs else '')
        )
    if not found.partly:
        return None
    if found.cover_from == found.cover_to and found.change == found.pairs:
        return (
            f'Land cover is annotated in {found.cover_from} of {found.pairs} training pairs; the '
            'others train change alone'
        )
    return (
        f'Of {found.pairs} training pairs, {found.change} have labels of change, '
        f'{found.cover_from} land cover before and {found.cover_to} land cover after. Each trains '
        'what it has; labelled.* in the log are the labelled pixels of a batch'
    )
