"""Write an exported network as an archive of torch.export."""

from __future__ import annotations

from pathlib import Path

import torch

from tfinet_mm.deploy.card import CARD_FILE, ExportCard
from tfinet_mm.deploy.tracing import quiet


def write_archive(program: torch.export.ExportedProgram, card: ExportCard, path: Path) -> None:
    """Write a traced graph with its card.

    Args:
        program: As :func:`tfinet_mm.deploy.tracing.trace` returns it.
        card: What the file says about itself.
        path: The ``.pt2``.
    """
    with quiet():
        torch.export.save(program, path, extra_files={CARD_FILE: card.to_json()})
