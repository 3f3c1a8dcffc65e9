"""Make folders that nobody can write to."""

import os
from contextlib import contextmanager


@contextmanager
def read_only(folder, *readable):
    """Let nobody write to a folder. Root becomes a user who can only read it and ``readable``.

    Import the needed modules before: that user may not be able to read them. The folders above
    stay open to all, since another process that runs tests may need them meanwhile.
    """
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob('*'))}
    for path in modes:
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    parents = {path for one in (folder, *readable) for path in one.parents}
    parents = [path for path in parents if path.stat().st_mode & 0o5 != 0o5]
    try:
        if root:
            for path in parents:
                path.chmod(0o755)
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)
