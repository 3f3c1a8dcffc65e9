"""Find the checkpoint from which a run that was cut short goes on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from logging import WARNING
from pathlib import Path

from mmengine.logging import print_log

from tfinet_mm.engine.checkpoint import load_checkpoint_file
from tfinet_mm.errors import DamagedCheckpointError

RESUMABLE = ('meta', 'message_hub', 'state_dict')
"""What MMEngine's Runner needs in a checkpoint to go on from it."""


def newest_checkpoint(work_dir: str | os.PathLike[str]) -> Path | None:
    """The newest checkpoint of a run that can be read from the first to the last byte.

    The epoch or iteration in the file name counts; ``best_*`` files are left
    out, since they hold no optimizer state.

    Args:
        work_dir: The run's folder. Where its ``last_checkpoint`` names a file
            in another folder (``CheckpointHook(out_dir=...)``), that is
            searched too.

    Returns:
        The file, or None if the run has not saved any checkpoint yet.

    Raises:
        DamagedCheckpointError: There are checkpoints, but none can be read.
        UntrustedCheckpointError: One holds what MMEngine doesn't store.
    """
    problems = []
    for path in _candidates(Path(work_dir)):
        try:
            checkpoint = load_checkpoint_file(path, map_location='cpu')
        except DamagedCheckpointError as error:
            problems.append(str(error))
        else:
            missing = [key for key in RESUMABLE if key not in checkpoint]
            if not missing:
                return path
            problems.append(f'{path} holds no {", ".join(missing)}')
        print_log(f'not resumed from: {problems[-1]}', 'current', WARNING)
    if problems:
        raise DamagedCheckpointError(
            f'none of the checkpoints in {work_dir} can be resumed from; '
            'remove them to start anew:\n' + '\n'.join(f'  - {problem}' for problem in problems)
        )
    return None


def _candidates(work_dir: Path) -> Iterator[Path]:
    """Checkpoints of a run, the furthest trained first."""
    folders = [work_dir]
    note = work_dir / 'last_checkpoint'
    if note.is_file() and (text := note.read_text().strip()):
        folders.append(Path(text).parent)
    found = {
        path.resolve(): path
        for folder in folders
        for path in folder.glob('*.pth')
        if not path.name.startswith(('best_', '.'))
    }

    def progress(path: Path) -> tuple[int, float]:
        numbers = re.findall(r'\d+', path.stem)
        return (int(numbers[-1]) if numbers else -1, path.stat().st_mtime)

    yield from sorted(found.values(), key=progress, reverse=True)
