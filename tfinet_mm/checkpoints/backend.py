"""Replace MMEngine's local files by complete ones only, through a separate file backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, register_backend
from mmengine.fileio.backends import backends

from tfinet_mm.utils.files import write_whole

BACKEND_NAME = 'tfinet_mm.whole_files'


class WholeFileBackend(LocalBackend):
    """File backend that replaces a local file only once the new one is complete.

    A run killed while it saves leaves the earlier checkpoint; the next run
    removes the unfinished file beside it, see
    :func:`~tfinet_mm.utils.files.whole_file`.
    """

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write bytes to a file, all of them or none.

        Args:
            obj: The bytes.
            filepath: The file; its folder is made if missing.
        """
        write_whole(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write a text to a file, all of it or nothing.

        Args:
            obj: The text.
            filepath: The file; its folder is made if missing.
            encoding: Encoding of the text.
        """
        write_whole(filepath, obj.encode(encoding))


def whole_file_backend() -> dict[str, Any]:
    """Register the backend, and return the ``backend_args`` with which MMEngine uses it."""
    if BACKEND_NAME not in backends:
        register_backend(BACKEND_NAME, WholeFileBackend, force=True)
    return dict(backend=BACKEND_NAME)
