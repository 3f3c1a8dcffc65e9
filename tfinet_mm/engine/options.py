"""Add options to the tools that run a config, and put their values into it."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from tfinet_mm.errors import ConfigError
from tfinet_mm.utils.class_names import is_class, written_name

DATA_KEYS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
"""Keys of a config that tools for data read."""


def use_split(cfg: Config, split: str) -> None:
    """Test on the validation or the test part of a config's data.

    Args:
        cfg: The config to change.
        split: ``'val'`` or ``'test'``.

    Raises:
        ValueError: The config has no such part.
    """
    if split not in ('val', 'test'):
        raise ValueError(f"the split must be 'val' or 'test', got {split!r}")
    if cfg.get(f'{split}_dataloader') is None or cfg.get(f'{split}_evaluator') is None:
        raise ValueError(
            f'{cfg.filename} has no {split}_dataloader or no {split}_evaluator; add both to it, or '
            'use the other split'
        )
    cfg.test_dataloader = copy.deepcopy(cfg[f'{split}_dataloader'])
    cfg.test_evaluator = copy.deepcopy(cfg[f'{split}_evaluator'])
    if cfg.get('test_cfg') is None:
        cfg.test_cfg = dict(type='TestLoop')


def set_hook(cfg: Config, kind: str, **options: Any) -> None:
    """Set options of the hook of a type, and add the hook where the config has none.

    Args:
        cfg: The config to change.
        kind: Type of the hook, such as ``'tfinet_mm.PredictionWriterHook'``.
        **options: Its arguments.
    """
    custom = list(cfg.get('custom_hooks') or [])
    hooks = [*(cfg.get('default_hooks') or {}).values(), *custom]
    found = [hook for hook in hooks if hook and is_class(hook, kind)]
    for hook in found:
        hook.update(options)
    if not found:
        cfg.custom_hooks = [*custom, dict(type=kind, **options)]


def write_scores(cfg: Config, file: str | os.PathLike[str]) -> None:
    """Let the metrics of this package write their scores to a JSON file.

    Args:
        cfg: The config to change.
        file: The JSON file.

    Raises:
        ValueError: The config's ``test_evaluator`` has none of this package's metrics.
    """
    evaluators = cfg.test_evaluator
    if not isinstance(evaluators, Sequence):
        evaluators = [evaluators]
    metrics = [one for one in evaluators if is_class(one, 'tfinet_mm.SCDMetric')]
    if not metrics:
        raise ValueError(
            '--json writes the scores of tfinet_mm.SCDMetric, but the test_evaluator of '
            f'{cfg.filename} is {[written_name(one.get("type")) for one in evaluators]}; add one, '
            'or leave --json out'
        )
    for metric in metrics:
        metric.out_file = str(file)


def use_pseudo_labels(cfg: Config, folder: str | os.PathLike[str]) -> None:
    """Train on the pseudo labels of a folder.

    Args:
        cfg: The config to change.
        folder: Folder that ``tools/pseudo_label.py`` writes.

    Raises:
        ConfigError: The data to train on are read without pseudo labels, or with several.
    """
    loaders = list(_pseudo_label_loaders(cfg.get('train_dataloader')))
    if len(loaders) != 1:
        raise ConfigError(
            f'{cfg.filename} has {len(loaders)} tfinet_mm.LoadPseudoLabels in its '
            'train_dataloader, to train on the pseudo labels of a folder it needs one, after '
            'LoadPairAnnotations'
        )
    loaders[0]['data_root'] = os.fspath(folder)


def _pseudo_label_loaders(part: Any) -> Iterator[Any]:
    """Yield every LoadPseudoLabels at any depth of a part of a config."""
    if isinstance(part, Mapping):
        if is_class(part, 'tfinet_mm.LoadPseudoLabels'):
            yield part
        part = list(part.values())
    for one in part if isinstance(part, list | tuple) else ():
        yield from _pseudo_label_loaders(one)
