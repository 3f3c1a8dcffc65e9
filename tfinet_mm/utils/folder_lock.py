"""Let one run at a time write to a folder."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import platform
import sys
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path

from tfinet_mm.errors import FolderInUseError

if sys.platform == 'win32':
    import msvcrt
else:
    import fcntl

LOCK_FILE = '.lock'
UNABLE = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of file systems that have no locks."""
TAKEN = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
"""Errors of a file that another process has locked."""

_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()


class FolderLock:
    """Lock on a folder, for the one process that writes to it.

    The system releases the lock when the process ends, for any reason. A forked process doesn't
    hold it. On a network drive it holds for all machines.

    Args:
        folder: The folder.
        what: Name of the files to write there, in the plural, for messages.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.folder, self.what = folder, what
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, unless this object holds it, and make the folder if it is missing.

        Raises:
            FolderInUseError: Another run holds it; the message names that run.
            OSError: The folder can't be written to.
        """
        while self._descriptor is None:
            with naming_folder(self.folder, self.what):
                self.folder.mkdir(parents=True, exist_ok=True)
                path = self.folder / LOCK_FILE
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._take(descriptor)
                # A run that has just ended removed the file, so this lock would exclude no one.
                if _has_name(descriptor, path):
                    self._descriptor, descriptor = descriptor, -1
            finally:
                if descriptor >= 0:
                    os.close(descriptor)
        _held.add(self)

    @property
    def descriptors(self) -> list[int]:
        """Return what a child must inherit (``pass_fds``) to hold the lock as long as it lives."""
        return [] if self._descriptor is None or os.name == 'nt' else [self._descriptor]

    def release(self) -> None:
        """Release the lock, if this object holds it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        _held.discard(self)
        if os.name == 'nt':
            # Windows can't remove an open file.
            os.close(descriptor)
        # Elsewhere remove it while the lock is held: later the file may be another run's.
        with contextlib.suppress(OSError):
            os.unlink(self.folder / LOCK_FILE)
        if os.name != 'nt':
            os.close(descriptor)

    def drop(self) -> None:
        """Forget the lock in a forked process: the parent holds it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        try:
            if sys.platform == 'win32':
                # Lock a byte far behind the text, so that others can read the text.
                os.lseek(descriptor, 1 << 30, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in UNABLE:
                warnings.warn(
                    f'the file system of {self.folder} has no locks; let no other run write there',
                    stacklevel=4,
                )
                return
            if error.errno not in TAKEN:
                raise
            os.lseek(descriptor, 0, os.SEEK_SET)
            holder = os.read(descriptor, 500).decode(errors='replace').strip() or 'another run'
            raise FolderInUseError(
                f'{self.folder} is being written to by {holder}; wait for its end, stop it, or '
                'choose another folder'
            ) from error
        now = datetime.datetime.now().strftime('%Y-%m-%d %H:%M:%S')
        text = f'process {os.getpid()} on {platform.node()} since {now}\n'
        # The text is for a message alone. A full disk is reported by the files that follow.
        with contextlib.suppress(OSError):
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.truncate(descriptor, os.write(descriptor, text.encode()))


@contextlib.contextmanager
def naming_folder(folder: Path, what: str) -> Iterator[None]:
    """Turn an error about permissions into one that names the folder and the fix."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        said = f'{error.strerror}, where {what} are to be written; choose another folder'
        raise OSError(error.errno, said, str(folder)) from error


def _has_name(descriptor: int, path: Path) -> bool:
    """Return whether an open file still has its name, also on a network drive."""
    try:
        with path.open('rb') as file:
            return os.path.samestat(os.fstat(descriptor), os.fstat(file.fileno()))
    except OSError:
        return False


def _drop_all() -> None:
    for lock in list(_held):
        lock.drop()
    _held.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_drop_all)
