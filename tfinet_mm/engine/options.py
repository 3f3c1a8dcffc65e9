"""What the options of ``tools/train.py`` and ``tools/test.py`` do to a config."""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from tfinet_mm.checkpoints.shipped import checkpoint_path
from tfinet_mm.engine.launch import LAUNCHERS
from tfinet_mm.engine.precision import AMP_TYPES, use_amp
from tfinet_mm.utils.class_names import is_class, written_name
from tfinet_mm.utils.config.check import check_config
from tfinet_mm.utils.config.reading import merge_options, read_config_file
from tfinet_mm.utils.dist import read_once

__all__ = [
    'AMP_TYPES',
    'add_launch_options',
    'existing_checkpoint',
    'load_config',
    'network_bands',
    'set_hook',
    'use_amp',
    'use_split',
    'write_scores',
]


DATA_KEYS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
"""What tools for data read of a config."""


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint``, ``--launcher`` and ``--local_rank`` to a tool's options."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read checkpoints that could run code; only for files whose origin you trust',
    )
    parser.add_argument(
        '--launcher', choices=LAUNCHERS, default='none', help='what started the processes'
    )
    # torch.distributed.launch of torch >= 2 passes --local-rank, older ones --local_rank.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by launchers'
    )


def load_config(
    path: str | os.PathLike[str],
    options: dict[str, Any] | None = None,
    work_dir: str | os.PathLike[str] | None = None,
    only: Sequence[str] | None = None,
) -> Config:
    """Read a config, with what the command line changes in it.

    Args:
        path: Config file.
        options: Values by dotted key, as ``--cfg-options`` gives them.
        work_dir: Folder for logs and checkpoints. None takes the config's
            ``work_dir``, or else ``work_dirs/NAME`` after the config file.
        only: Keys of the top level whose parts are checked; by default all.

    Returns:
        The config, its ``work_dir`` set, with ``default_scope`` in force.

    Raises:
        FileNotFoundError: There is no such config.
        ConfigError: It can't be read, or has keys, types or values that can't be meant.
    """
    cfg = read_config_file(path)
    merge_options(cfg, options)
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(path).stem)
    check_config(cfg, only)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return cfg


def network_bands(cfg: Config) -> int:
    """Bands of each date that a config's backbone takes: its ``in_channels``, 3 by default.

    Of an ensemble, those of its first member.
    """
    model = cfg.model.get('module', cfg.model)
    if 'members' in model:
        # Here, since that module reads bands with this function.
        from tfinet_mm.engine.members import member_config

        member = model.members[0]
        return network_bands(member_config(member.config, member.get('cfg_options')))
    return int(model.get('backbone', {}).get('in_channels', 3))


def existing_checkpoint(name: str) -> str:
    """Look for a checkpoint before minutes are spent on data and model.

    Args:
        name: Path, name of shipped weights, or an address such as ``https://...`` or
            ``open-mmlab://...``.

    Returns:
        The name.

    Raises:
        FileNotFoundError: It is no address, and there is no such file.
    """
    if '://' not in name:
        read_once(lambda: checkpoint_path(name))
    return name


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
        raise ValueError(f'{cfg.filename} has no {split}_dataloader or no {split}_evaluator')
    cfg.test_dataloader = copy.deepcopy(cfg[f'{split}_dataloader'])
    cfg.test_evaluator = copy.deepcopy(cfg[f'{split}_evaluator'])
    if cfg.get('test_cfg') is None:
        cfg.test_cfg = dict(type='TestLoop')


def set_hook(cfg: Config, kind: str, **options: Any) -> None:
    """Set options of the hook of a type, which is added where the config has none.

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
            f'{cfg.filename} is {[written_name(one.get("type")) for one in evaluators]}'
        )
    for metric in metrics:
        metric.out_file = str(file)
