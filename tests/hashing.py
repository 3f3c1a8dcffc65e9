"""Note which files are read to be hashed."""

import hashlib
from contextlib import contextmanager

import pytest

from tfinet_mm.utils import fingerprints


@contextmanager
def hashed_files():
    """List the files that are hashed in the block, where no hash is known as in a new process."""
    names = []
    digest = hashlib.file_digest

    def note(file, kind):
        names.append(str(file.name))
        return digest(file, kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, 'file_digest', note)
        patch.setattr(fingerprints, '_contents', {})
        yield names
