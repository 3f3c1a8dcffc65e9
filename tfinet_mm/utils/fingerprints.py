"""Tell files apart by their contents, reading each one once.

A file is identified by the SHA-256 of its whole content, as ``sha256sum`` prints it. A hash of
samples of a large file would be faster, but would miss an edit between them; a time stamp would
refuse a copy. The price is one read of the file, at 1.1 GB/s on one core. Later the hash is taken
from an earlier manifest, as long as inode, size, time of modification and time of status change
are the same. No program can set the last of these, so a file that was replaced by another of the
same name, size and time stamp is read again, and the change is found.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tfinet_mm.errors import ManifestError

PathLike = str | os.PathLike[str]

INFORMATIVE = ('file', 'stat')
"""Keys of an entry that are not compared: its path, and its inode, size and times."""
SETTLED_S = 0.05
"""Seconds after which a change surely gives a file another time stamp than the one before."""

_contents: dict[str, str] = {}


def fingerprints(paths: Iterable[PathLike]) -> list[dict[str, Any]]:
    """Return an entry for each file: ``file``, its path, ``sha256``, and ``stat``.

    Raises:
        FileNotFoundError: There is no such file.
        ManifestError: A file is being written.
    """
    # hashlib works outside of Python's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return list(threads.map(_fingerprint, paths))


def joined(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one entry for an input of several files, such as a mosaic, or of one file.

    Args:
        entries: The entry of the file that stands for all, and those of the others.
    """
    if len(entries) == 1:
        return entries[0]
    content = content_hash([entry['sha256'] for entry in entries])
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
    stat = os.stat(path)
    identity = _identity(stat)
    content = _contents.get(identity)
    if content is None:
        # A second change within a tick of the clock would leave the time stamp the same.
        if abs(time.time() - stat.st_ctime) < SETTLED_S:
            time.sleep(SETTLED_S)
        with open(path, 'rb') as file:
            content = hashlib.file_digest(file, 'sha256').hexdigest()
        if _identity(os.stat(path)) != identity:
            raise ManifestError(f'{path} changed while it was read; start again when it is written')
        _keep(identity, content)
    return dict(file=os.path.abspath(path), sha256=content, stat=identity)


def _identity(stat: os.stat_result) -> str:
    """Return inode, size, and times of modification and status change in nanoseconds."""
    return ' '.join(str(number) for number in stat_numbers(stat))


def _keep(identity: str, content: str) -> None:
    """Note the content of a file, where the system tells whether it is untouched."""
    # Windows gives the time of creation instead, and some file systems count whole seconds.
    if os.name != 'nt' and not identity.endswith('0' * 9):
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
