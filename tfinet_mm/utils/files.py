"""Write files so that a reader never sees an unfinished one."""

from __future__ import annotations

import errno
import functools
import hashlib
import itertools
import os
import platform
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from tfinet_mm.errors import NoSpaceError

PARTIAL_NAME = re.compile(r'\.part-([0-9a-f]{12})-(\d+)-([0-9a-f]{8})-\d+')
"""Start of the name of an unfinished file: pid space, process id, process, number."""

ABANDONED_S = 24 * 3600
"""Seconds after which an unfinished file of another machine counts as left behind."""

LONGEST_SUFFIX = 64
"""Longest suffix, in bytes, that an unfinished file keeps; no library knows a longer one."""

NO_SPACE = {
    errno.ENOSPC: 'no space is left on the disk',
    errno.EDQUOT: 'the quota of the disk is used up',
    errno.EFBIG: 'the file is larger than this disk or process may write (ulimit -f)',
}
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
ALMOST_FULL = 16 << 20
"""Free bytes below which an unexplained error of writing is put down to a full disk."""

_process = uuid.uuid4().hex[:8]
_numbers = itertools.count()
_swept: set[str] = set()


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write a complete file or none, and make its folder where it is missing.

    The block writes to the path it is given. After it, the file appears under
    its name in one step, with the permissions of the file it replaces, and is
    safe from a power failure. If the block raises, the earlier file stays.
    Threads and processes may write the same file at once; the later one wins.
    The first file that a process writes to a folder also removes the unfinished
    files that killed processes of this machine left there.

    Args:
        path: File to write. A link is replaced, not followed.

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
    with naming_file(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    # Not the name with a suffix: it may already have the greatest length that is allowed.
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= LONGEST_SUFFIX else ''
    name = f'.part-{_pid_space()}-{os.getpid()}-{_process}-{next(_numbers)}{suffix}'
    partial = path.parent / name
    try:
        with naming_file(path):
            yield partial
            if not partial.is_symlink():
                _sync(partial)
                mode = _mode(path)
                if mode is not None:
                    # Some file systems have no permissions to keep.
                    with suppress(OSError):
                        partial.chmod(mode)
            os.replace(partial, path)
        _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
            # Journals and overviews of libraries that were interrupted.
            for left in path.parent.glob(f'{name}[.-]*'):
                left.unlink(missing_ok=True)


@contextmanager
def naming_file(path: str | Path, *errors: type[Exception]) -> Iterator[None]:
    """Turn an error of writing a file into one that names the file and the fix.

    Args:
        path: The file.
        *errors: Errors of the library that writes it.

    Raises:
        NoSpaceError: The disk is full.
        OSError: It may not be written, or the library failed.
    """
    caught: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except NoSpaceError:
        raise
    except caught as error:
        number = getattr(error, 'errno', None)
        if number in NO_SPACE:
            raise _no_space(number, path) from error
        if number is None and _free(path) < ALMOST_FULL:
            raise _no_space(errno.ENOSPC, path) from error
        if isinstance(error, errors):
            raise OSError(f'{path} could not be written: {error}') from error
        if number in FORBIDDEN and _is_part(getattr(error, 'filename', None), path):
            said = f'{os.strerror(number)}, where results are to be written; choose another folder'
            raise OSError(number, said, str(Path(path).parent)) from error
        raise


def _no_space(number: int, path: str | Path) -> NoSpaceError:
    free = f' ({_free(path) >> 10} KiB free)' if number == errno.ENOSPC else ''
    return NoSpaceError(
        number,
        f'{NO_SPACE[number]}{free}; free some or choose another folder, then start again: what is '
        'finished stays',
        str(path),
    )


def _free(path: str | Path) -> int:
    """Return the free bytes of the disk that a file is to be written to."""
    with suppress(OSError):
        return shutil.disk_usage(Path(path).parent).free
    return ALMOST_FULL


def _is_part(name: object, path: str | Path) -> bool:
    """Return whether an error is about a file, its unfinished form or its folder."""
    if not isinstance(name, str):
        return False
    found, path = Path(name), Path(path)
    return found in (path, path.parent) or (
        found.parent == path.parent and bool(PARTIAL_NAME.match(found.name))
    )


def write_whole(path: str | Path, content: bytes | memoryview) -> None:
    """Write bytes to a file, all of them or none, as :func:`whole_file` does.

    Args:
        path: File to write; where it is a link, the file behind it.
        content: The bytes. While they are written, only those who can read the
            earlier file can read them.
    """
    path = Path(os.path.realpath(path))
    mode = _mode(path)

    def create(name: str, flags: int) -> int:
        return os.open(name, flags, 0o666 if mode is None else mode)

    with whole_file(path) as partial, open(partial, 'xb', opener=create) as file:
        file.write(content)


def _mode(path: Path) -> int | None:
    """Return the permissions of a regular file, or None where there is none."""
    with suppress(OSError):
        found = path.stat().st_mode
        return stat.S_IMODE(found) if stat.S_ISREG(found) else None
    return None


def _sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    descriptor = os.open(path, os.O_RDWR if os.name == 'nt' else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system allows."""
    if os.name == 'nt':
        return
    # The file has its name already, so a folder that can't be opened is no error.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep_again(folder: str | Path) -> None:
    """Remove the files of killed processes with the next file written to a folder or below it.

    For the start of a run, since :func:`whole_file` looks only once in a process.
    """
    root = os.path.realpath(folder)
    below = os.path.join(root, '')
    for key in list(_swept):
        if key == root or key.startswith(below):
            _swept.discard(key)


def _sweep(folder: Path) -> None:
    """Remove the unfinished files of killed processes from a folder, once in a process."""
    key = os.path.realpath(folder)
    if key in _swept:
        return
    _swept.add(key)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = PARTIAL_NAME.match(entry.name)
            if found and _abandoned(entry, *found.groups()):
                with suppress(OSError):
                    os.unlink(entry.path)


def _abandoned(entry: os.DirEntry[str], space: str, pid: str, process: str) -> bool:
    """Return whether the process that wrote an unfinished file is gone."""
    if space != _pid_space() or os.name == 'nt':
        with suppress(OSError):
            return time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED_S
        return False
    if int(pid) == os.getpid():
        # In a container, every run may have the same process id.
        return process != _process
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return False


@functools.cache
def _pid_space() -> str:
    """Name the running system, or its container, within which process ids are unique.

    The host's name isn't enough: containers share it, and many machines are called localhost.
    """
    try:
        boot = Path('/proc/sys/kernel/random/boot_id').read_text(encoding='utf-8')
        parts = [boot, os.readlink('/proc/self/ns/pid')]
    except OSError:
        parts = [platform.node(), str(uuid.getnode())]
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:12]


def check_folder(folder: str | Path, option: str) -> None:
    """Check that a folder is there or can be made, before the work whose results it gets.

    Args:
        folder: The folder.
        option: What named it, for the message.

    Raises:
        NotADirectoryError: It or a folder above it is a file.
    """
    path = Path(folder)
    for above in (path, *path.parents):
        if above.exists() and not above.is_dir():
            raise NotADirectoryError(
                f'{option}: {above} is a file, expected a folder; choose another name'
            )


def sample_file(folder: str | Path, sample_id: str, suffix: str) -> Path:
    """Return the path of a file of a sample, with its sub-folders, dots and spaces.

    Args:
        folder: Folder that all the files go to.
        sample_id: Name of the sample, with "/" between sub-folders, without suffix.
        suffix: Suffix with its dot; it is appended, and never replaces a part of the name.

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
