"""Tell files apart by their contents, reading each one once.

A file is identified by the SHA-256 of its whole content, as ``sha256sum`` prints it. A hash of
samples of a large file would be faster, but would miss an edit between them; a time stamp would
refuse a copy. The price is one read of the file, at 1.1 GB/s on one core. Later the hash is taken
from an earlier manifest, as long as inode, size, time of modification and time of status change
are the same. No program can set the last of these, so a file that was replaced by another of the
same name, size and time stamp is read again, and the change is found.

A file in a zip file counts by its own content, as if it were unpacked. One on another machine
isn't read: it counts by what its server says (see :mod:`tfinet_mm.utils.remote_files`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from tfinet_mm.errors import ImageFormatError, ManifestError, TFINetError
from tfinet_mm.utils.places import (
    PathLike,
    absolute,
    archived,
    is_remote,
    is_virtual,
    members,
    some,
)
from tfinet_mm.utils.remote_files import UNVERIFIED, remote_entry

INFORMATIVE = ('file', 'stat')
"""Keys of an entry that are not compared: its path, and its inode, size and times."""
ORIGIN = ('checkpoint', 'config', 'name', *INFORMATIVE)
"""Keys for readers, on the origin of a network or a file, which is compared by its content."""
SETTLED_S = 0.05
"""Seconds after which a change surely gives a file another time stamp than the one before."""

_contents: dict[str, str] = {}


def fingerprints(paths: Iterable[PathLike]) -> list[dict[str, Any]]:
    """Return an entry for each file: ``file``, its path, ``sha256``, and ``stat``.

    A file on another machine has a ``version`` in place of the last two.

    Raises:
        FileNotFoundError: There is no such file.
        ManifestError: A file is being written.
        ImageFormatError: A zip file is damaged.
        RemoteFileError: A server doesn't answer, or has no such file.
    """
    entries = []
    for found in try_fingerprints(paths):
        if isinstance(found, Exception):
            raise found
        entries.append(found)
    return entries


def try_fingerprints(paths: Iterable[PathLike]) -> list[dict[str, Any] | Exception]:
    """Return the entry of each file as :func:`fingerprints` does, or the error in its place."""

    def attempt(path: PathLike) -> dict[str, Any] | Exception:
        try:
            return _fingerprint(path)
        except (TFINetError, OSError) as error:
            return error

    # hashlib works outside of Python's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return list(threads.map(attempt, paths))


def joined(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one entry for an input of several files, such as a mosaic, or of one file.

    Args:
        entries: The entry of the file that stands for all, and those of the others.
    """
    if len(entries) == 1:
        return entries[0]
    content = content_hash([entry.get('sha256') or entry['version'] for entry in entries])
    return dict(file=entries[0]['file'], sha256=content, parts=list(entries))


def remember(found: Any) -> None:
    """Note the entries in a manifest, at any depth, so that untouched files needn't be read."""
    if isinstance(found, dict):
        stat, content = found.get('stat'), found.get('sha256')
        if isinstance(stat, str) and isinstance(content, str):
            _keep(stat, content)
        found = list(found.values())
    if isinstance(found, list):
        for one in found:
            remember(one)


def content_hash(value: Any) -> str:
    """Return the SHA-256 of plain values (numbers, text, lists, dictionaries).

    The order of keys makes no difference. Keys may be tuples, such as colours.
    """
    try:
        text = json.dumps(value, sort_keys=True, default=str)
    except TypeError:
        # JSON has keys of one type, and no tuples.
        text = json.dumps(_with_text_keys(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {repr(key): _with_text_keys(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text_keys(one) for one in value]
    return value


def _fingerprint(path: PathLike) -> dict[str, Any]:
    if not is_virtual(path):
        return _hashed(path, os.path.abspath(path), '', lambda: _plain(path))
    if is_remote(path):
        return remote_entry(path)
    file = absolute(path)
    held = archived(file)
    if held is not None and held.member:
        return _hashed(held.archive, file, held.member, lambda: _opened(*held))
    container = _container(file)
    if container is None:
        return dict(file=file, version=f'{UNVERIFIED}: {file}')
    found = _hashed(container, file, '', lambda: _plain(container))
    inner = file.rpartition(container)[2]
    return dict(file=file, sha256=content_hash([found['sha256'], inner]))


def _hashed(
    path: PathLike, file: str, member: str, opened: Callable[[], IO[bytes]]
) -> dict[str, Any]:
    """Return the entry of a file, or of a member of it."""
    stat = os.stat(path)
    identity = _identity(stat) + (f' {member}' if member else '')
    content = _contents.get(identity)
    if content is None:
        # A second change within a tick of the clock would leave the time stamp the same.
        if abs(time.time() - stat.st_ctime) < SETTLED_S:
            time.sleep(SETTLED_S)
        with opened() as stream:
            content = _digest(stream, file)
        if _identity(os.stat(path)) != _identity(stat):
            raise ManifestError(f'{path} changed while it was read; start again when it is written')
        _keep(identity, content)
    return dict(file=file, sha256=content, stat=identity)


def _plain(path: PathLike) -> IO[bytes]:
    return open(path, 'rb')


def _digest(stream: IO[bytes], file: str) -> str:
    if not isinstance(stream, zipfile.ZipExtFile):
        return hashlib.file_digest(stream, 'sha256').hexdigest()  # type: ignore[arg-type]
    found = hashlib.sha256()
    try:
        while block := stream.read(1 << 20):
            found.update(block)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ImageFormatError(
            f'{file} can not be read from its zip file ({error}); copy or download it again'
        ) from error
    return found.hexdigest()


def _opened(archive: str, member: str) -> IO[bytes]:
    """Open a file in a zip file."""
    try:
        # The stream keeps the file open.
        return zipfile.ZipFile(archive).open(member)
    except KeyError:
        raise FileNotFoundError(
            f'there is no {member} in the zip file {archive}, which holds '
            f'{some(members(archive)) or "no file"}'
        ) from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ImageFormatError(
            f'{archive} can not be read as a zip file ({error}); copy or download it again, or '
            'unpack it'
        ) from error


def _container(path: str) -> str | None:
    """Return the file on this machine that a ``/vsi`` path leads into."""
    text = re.sub(r'^(/vsi[a-z0-9_]+/)+', '', path).replace('{', '').replace('}', '')
    while not os.path.isfile(text):
        above = os.path.dirname(text)
        if above == text:
            return None
        text = above
    return text


def _identity(stat: os.stat_result) -> str:
    """Return inode, size, and times of modification and status change in nanoseconds."""
    return ' '.join(str(number) for number in stat_numbers(stat))


def _keep(identity: str, content: str) -> None:
    """Note the content of a file, where the system tells whether it is untouched."""
    stamp = ' '.join(identity.split(' ', 4)[:4])
    # Windows gives the time of creation instead, and some file systems count whole seconds.
    if os.name != 'nt' and not stamp.endswith('0' * 9):
        _contents[identity] = content


def untouched(paths: Iterable[PathLike]) -> str | None:
    """Return a hash that changes when any of the files does, without reading them.

    It is of paths, inodes, sizes and times, in the order of the paths.

    Args:
        paths: The files.

    Returns:
        The hash, or None where the system doesn't tell whether a file is untouched, or one was
        changed just now.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if os.name == 'nt':
        return None
    settled = (time.time() - SETTLED_S) * 1e9
    found = hashlib.sha256()
    for path in paths:
        stat = os.stat(path)
        if stat.st_ctime_ns > settled or not stat.st_ctime_ns % 10**9:
            return None
        found.update(os.fsencode(path) + b'\0%d %d %d %d\0' % stat_numbers(stat))
    return found.hexdigest()


def stat_numbers(stat: os.stat_result) -> tuple[int, int, int, int]:
    """Return inode, size, and times of modification and status change in nanoseconds."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, as sha256sum prints it."""
    digest = hashlib.sha256()
    with Path(path).expanduser().open('rb') as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
