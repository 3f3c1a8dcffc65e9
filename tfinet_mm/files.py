"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write a file whole or not at all, making its folder where it's missing.

    The block writes to the path it is given; after it, the file appears under
    its name in one step. If the block raises, what was there before stays. Two
    processes may write the same file at once, the later one wins.

    Args:
        path: File to write.

    Yields:
        Path in the same folder to write to, with the suffix of ``path``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder) / 'a' / 'b.txt') as partial:
        ...         _ = partial.write_text('whole')
        ...     (Path(folder) / 'a' / 'b.txt').read_text()
        'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the name itself with something added: names may already be as long as a name can be.
    partial = path.parent / f'.{uuid.uuid4().hex}{path.suffix}'
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def sample_file(folder: str | Path, sample_id: str, suffix: str) -> Path:
    """Path of a file of a sample: its sub-folders, dots and spaces are kept.

    Args:
        folder: Folder that all the files go to.
        sample_id: Name of the sample, with "/" between sub-folders, without suffix.
        suffix: Suffix with its dot; appended, never put in place of a part of the name.

    Returns:
        ``folder/sample_id + suffix``.

    Raises:
        ValueError: The name is empty, absolute, or leads out of ``folder``.

    Example:
        >>> sample_file('out', 'sub dir/a.b c', '.png').as_posix()
        'out/sub dir/a.b c.png'
    """
    parts = PurePosixPath(sample_id)
    if not parts.parts or parts.is_absolute() or '..' in parts.parts:
        raise ValueError(
            f'the name of a sample must be a path inside its folder, got {sample_id!r}; '
            'name samples relative to the folder of their images'
        )
    return Path(folder) / parts.parent / f'{parts.name}{suffix}'
