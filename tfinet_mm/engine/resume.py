"""Find the checkpoint from which a run that was cut short is resumed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from logging import WARNING
from pathlib import Path

from mmengine.logging import print_log

from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.contents import RESUMABLE, check_resumable
from tfinet_mm.errors import DamagedCheckpointError


def newest_checkpoint(
    work_dir: str | os.PathLike[str], needed: Sequence[str] = RESUMABLE
) -> Path | None:
    """Find the newest complete checkpoint of a run that has finite weights.

    The epoch or iteration in the file name decides; ``best_*`` files are left
    out, since they hold no optimizer state. Files that can't be used are skipped
    with a warning.

    Args:
        work_dir: The run's folder. Where its ``last_checkpoint`` names a file
            in another folder (``CheckpointHook(out_dir=...)``), that is
            searched too.
        needed: Keys that a checkpoint must have.

    Returns:
        The file, or None if the run has not saved any checkpoint yet.

    Raises:
        DamagedCheckpointError: There are checkpoints, but none that can be used.
        UntrustedCheckpointError: One holds what MMEngine doesn't store.
    """
    problems = []
    for path in _candidates(Path(work_dir)):
        try:
            check_resumable(read_checkpoint(path), str(path), needed)
            return path
        except (DamagedCheckpointError, FileNotFoundError) as error:
            # A link to a missing file.
            problems.append(str(error))
        print_log(f'not resumed from: {problems[-1]}', 'current', WARNING)
    if problems:
        raise DamagedCheckpointError(
            f'none of the checkpoints in {work_dir} can be resumed from; '
            'remove them to start again:\n' + '\n'.join(f'  - {problem}' for problem in problems)
        )
    return None


def _candidates(work_dir: Path) -> Iterator[Path]:
    """Yield the checkpoints of a run, the furthest trained first."""
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
        return (int(numbers[-1]) if numbers else -1, path.lstat().st_mtime)

    yield from sorted(found.values(), key=progress, reverse=True)
