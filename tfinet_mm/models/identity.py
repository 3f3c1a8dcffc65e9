"""Identify the networks that made something by the content of their configs and weights."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfinet_mm.checkpoints.addresses import existing_checkpoint
from tfinet_mm.checkpoints.shipped import checkpoint_path
from tfinet_mm.models.members import member_config
from tfinet_mm.utils.class_names import written_name
from tfinet_mm.utils.dist import read_once
from tfinet_mm.utils.fingerprints import content_hash, file_hash


def member_entries(members: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what identifies the members of an ensemble.

    Args:
        members: As the ensemble takes them: ``config``, ``checkpoint``, and
            optionally ``weight``, ``name`` and ``cfg_options``.

    Returns:
        For each one ``name``, ``config`` and ``checkpoint`` as given,
        ``weight``, and hashes: ``model`` of the network and its test settings,
        ``weights`` of the checkpoint file (for an address, the address).

    Raises:
        FileNotFoundError: A config or a checkpoint isn't there.
    """
    entries = []
    for member in members:
        cfg = member_config(member['config'], member.get('cfg_options'))
        checkpoint = existing_checkpoint(str(member['checkpoint']))
        entries.append(
            dict(
                name=member.get('name') or Path(cfg.filename or written_name(cfg.model.type)).stem,
                config=str(cfg.filename),
                checkpoint=checkpoint,
                weight=float(member.get('weight', 1.0)),
                model=content_hash(cfg.model.to_dict()),
                weights=checkpoint
                if '://' in checkpoint
                else read_once(functools.partial(_checkpoint_hash, checkpoint)),
            )
        )
    return entries


def _checkpoint_hash(checkpoint: str) -> str:
    return file_hash(checkpoint_path(checkpoint))
