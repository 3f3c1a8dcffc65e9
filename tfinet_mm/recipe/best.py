"""The best checkpoint of a training."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tfinet_mm.errors import StageError
from tfinet_mm.utils.files import whole_file


def choose_best(folder: Path, link: Path) -> str:
    """Give the best checkpoint of a training a name that doesn't depend on the epoch.

    That is the ``best_*.pth`` with the highest score: a run that was killed may
    leave more than one. Where the training validated nothing it is the newest.

    Args:
        folder: The training's folder.
        link: Path that becomes a symbolic link to the checkpoint, or a copy where
            there are no links.

    Returns:
        A sentence that names the checkpoint.

    Raises:
        StageError: The training has written no checkpoint.
    """
    scored = sorted(folder.glob('best_*.pth'))
    if len(scored) == 1:
        # Without torch, which takes seconds to import.
        best, text = scored[0], f'the best checkpoint is {scored[0]}'
    elif scored:
        score, best = max((_best_score(path), path) for path in scored)
        text = f'the best checkpoint is {best} ({score:.2f})'
    else:
        from tfinet_mm.engine.resume import newest_checkpoint

        # Trainings may leave the optimizer out.
        newest = newest_checkpoint(folder, needed=('state_dict',))
        if newest is None:
            raise StageError(f'the training has written no checkpoint to {folder}')
        best, text = newest, f'nothing was validated; the newest checkpoint is {newest}'
    with whole_file(link) as partial:
        try:
            partial.symlink_to(os.path.relpath(best.resolve(), link.parent.resolve()))
        except OSError:
            shutil.copyfile(best, partial)
    return text


def _best_score(path: Path) -> float:
    from tfinet_mm.checkpoints.addresses import read_checkpoint

    runtime = read_checkpoint(path).get('message_hub', {}).get('runtime_info', {})
    return float(runtime.get('best_score', float('-inf')))
