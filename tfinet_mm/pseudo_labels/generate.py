"""Pseudo labels in one call: what ``tools/pseudo_label.py`` does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from tfinet_mm.checkpoints.addresses import existing_checkpoint
from tfinet_mm.engine.precision import check_amp, set_autocast
from tfinet_mm.models.detectors.augmentation import TTA_TRANSFORMS
from tfinet_mm.models.detectors.ensemble import SCDEnsemble
from tfinet_mm.pseudo_labels.labeler import PseudoLabeler
from tfinet_mm.pseudo_labels.pairs import PairsToLabel
from tfinet_mm.pseudo_labels.selection import Selection
from tfinet_mm.registry import MODELS
from tfinet_mm.utils.class_names import find_class, written_name
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.utils.dist import one_rank_reads

PathLike = str | os.PathLike[str]


def generate(
    sources: Sequence[PathLike],
    out: PathLike,
    method: str = 'vote',
    selection: Selection | None = None,
    split: str = 'train',
    tta: bool = False,
    confidence: bool = False,
    land_cover: Sequence[str | Path] | None = None,
    overwrite: bool = False,
    amp: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    device: str | None = None,
    batch_size: int = 1,
    workers: int = 2,
) -> dict[str, Any]:
    """Label the unchanged pixels of a data set with networks that are trained.

    Args:
        sources: CONFIG, CHECKPOINT, CONFIG, CHECKPOINT, ...; or the CONFIG of
            one ensemble. The pairs are those of the first config.
        out: Folder for ``label1``, ``label2``, the report and what is needed to
            go on after a stop.
        method: 'vote' or 'soft', see :func:`~tfinet_mm.pseudo_labels.vote` and
            :func:`~tfinet_mm.pseudo_labels.soft`.
        selection: What 'soft' keeps: thresholds, quotas, P(changed).
        split: 'train', 'val' or 'test': whose pairs to label.
        tta: Average each network over the six flips and rotations of
            :data:`~tfinet_mm.models.detectors.augmentation.TTA_TRANSFORMS`.
        confidence: Also write ``confidence1`` and ``confidence2``.
        land_cover: Folders of the true land cover of each date, to measure
            accuracy with; that of synthetic data sets is found without.
        overwrite: Replace what other members or options made in ``out``.
        amp: Type to compute in: 'auto' for the fastest of the device, 'bfloat16',
            'float16' or 'float32'; None for that of each config.
        cfg_options: Values by dotted key that replace those of every config.
        device: Where networks run; None for a GPU where there is one.
        batch_size: Pairs that run at once.
        workers: Processes that load pairs.

    Returns:
        The report, see :func:`~tfinet_mm.pseudo_labels.report.make_report`;
        ``out/report.json`` holds the same.

    Raises:
        ValueError: The sources aren't pairs of config and checkpoint, an option
            can't be used, or ``out`` holds something else.
        FileNotFoundError: A config, a checkpoint or a file of the data isn't there.
        ClassMismatchError: The members differ in their classes, or from the data.
    """
    with one_rank_reads():
        cfg, model = ensemble_model(sources, cfg_options, amp)
    return PseudoLabeler(
        model,
        PairsToLabel(cfg, split, land_cover),
        out,
        method,
        selection,
        TTA_TRANSFORMS if tta else ('identity',),
        confidence,
        device,
        batch_size,
        workers,
    ).run(overwrite)


def ensemble_model(
    sources: Sequence[PathLike],
    cfg_options: Mapping[str, Any] | None = None,
    amp: str | None = None,
) -> tuple[Config, dict[str, Any]]:
    """Return the first config, and the config of the ensemble that sources describe.

    Args:
        sources: As :func:`generate` takes them.
        cfg_options: Values that replace those of every config.
        amp: Type to compute in, or None for that of each config.

    Raises:
        ValueError: See :func:`generate`.
        FileNotFoundError: A config or a checkpoint isn't there.
    """
    if amp is not None:
        check_amp(amp)
    names = [os.fspath(source) for source in sources]
    options = dict(cfg_options or {})
    if not names or (len(names) > 1 and len(names) % 2):
        raise ValueError(
            'expected a config and a checkpoint for each member (CONFIG CHECKPOINT CONFIG '
            f'CHECKPOINT ...), or the config of one ensemble; got {len(names)}: {" ".join(names)}'
        )
    cfg = load_config(names[0], options)
    if len(names) > 1:
        members = [
            dict(config=config, checkpoint=existing_checkpoint(checkpoint), cfg_options=options)
            for config, checkpoint in zip(names[::2], names[1::2], strict=True)
        ]
        return cfg, dict(type='tfinet_mm.SCDEnsemble', members=members, autocast=amp)
    if find_class(MODELS, cfg.model.type) is not SCDEnsemble:
        raise ValueError(
            f'{names[0]} is not the config of an ensemble but of a {written_name(cfg.model.type)}, '
            'which needs its checkpoint: CONFIG CHECKPOINT'
        )
    if amp is not None:
        set_autocast(cfg, amp)
    return cfg, cfg.model.to_dict()
