"""Fit a training to the land cover that its pairs have: in all of them, in some or in none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmengine.structures import PixelData
from torch import nn

from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.errors import ConfigError
from tfinet_mm.evaluation import SCDMetric
from tfinet_mm.evaluation.score_table import CHANGE_SCORES
from tfinet_mm.models.foreign import land_cover_classes
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


def roles_of(dataset: Any) -> tuple[str, ...]:
    """Return what a data set trains: ``'land_cover'`` and ``'change'``, or change alone."""
    change_only, pairs = change_only_pairs(dataset)
    return (CHANGE_ROLE,) if change_only and change_only == pairs else ALL_ROLES


def set_trained_roles(model: nn.Module, dataset: Any) -> tuple[str, ...]:
    """Let a detector train change alone if no pair of a data set has land cover.

    Args:
        model: The detector, wrapped or not; others stay as they are.
        dataset: The data set of the training.

    Returns:
        What is trained, see :func:`roles_of`.
    """
    roles = roles_of(dataset)
    network: Any = unwrapped(model)
    if hasattr(network, 'trained_roles'):
        network.trained_roles = roles
    return roles


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
    change_only, pairs = change_only_pairs(dataset)
    if LAND_COVER_ROLE not in roles:
        return (
            'Land cover is not annotated in any training pair: only change is trained, and the '
            'losses of land cover are left out'
        )
    if change_only:
        return (
            f'Land cover is annotated in {pairs - change_only} of {pairs} training pairs; the '
            'others train change alone'
        )
    return None
