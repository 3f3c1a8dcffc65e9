"""Keep what was found in the label files of a data set, in the user's cache.

Each file of the cache is named after a hash of the meaning of the labels and of the state of their
files, so that a changed file makes another name.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from tfinet_mm.datasets.annotations import LabelSpec
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.fingerprints import content_hash, untouched

Found = TypeVar('Found')
UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, EOFError)
DAMAGED = (zipfile.BadZipFile, zlib.error)
"""Errors that reading a file ends with that is cut off, damaged or of another version."""


def label_key(
    version: int, spec: LabelSpec, files: Mapping[str, Sequence[str]], **more: Any
) -> str | None:
    """Return the key of label files in a meaning, or None where their state isn't known.

    Args:
        version: Version of the rules by which the result is found.
        spec: Meaning that the config states; decided storages don't count.
        files: Files of each role.
        **more: Further plain values on which the result depends.
    """
    try:
        states = {role: untouched(paths) for role, paths in files.items()}
    except OSError:
        return None
    if None in states.values():
        return None
    return content_hash(
        dict(version=version, spec=asdict(replace(spec, storages={})), files=states, **more)
    )


def kept_file(name: str) -> Path:
    """Return the path of a file of the cache."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(cache) / 'tfinet_mm' / 'labels' / name


def read_kept(name: str, read: Callable[[Path], Found]) -> Found | None:
    """Read a file of the cache, or return None if it is missing, incomplete or of another version.

    Args:
        name: Name of the file.
        read: Function that reads it.
    """
    try:
        return read(kept_file(name))
    except (*UNREADABLE, *DAMAGED):
        return None


def keep(name: str, write: Callable[[Path], Any]) -> None:
    """Write a file of the cache; without a cache it is left out.

    Args:
        name: Name of the file.
        write: Function that writes to the path that it gets.
    """
    try:
        with whole_file(kept_file(name)) as partial:
            write(partial)
    except (OSError, RuntimeError):
        pass  # The result is found again each time.
