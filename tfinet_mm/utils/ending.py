"""End a process of a distributed run without tearing the interpreter down.

The threads of a process group are native. They live as long as something holds
the group, and a model wrapped for several ranks holds it after
``destroy_process_group``. When such a thread drops its last tensor it asks for
Python's lock. If the interpreter is being torn down by then, Python ends that
thread, C++ calls this ``terminate called without an active exception`` and
aborts the process: a run whose work is done fails with SIGABRT, now and then.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from typing import NoReturn


def is_rank() -> bool:
    """Return whether a launcher started this process as one of several.

    torchrun sets these variables itself; ``prepare_launch`` and
    ``join_cpu_group`` set them for the other launchers.
    """
    return 'RANK' in os.environ and 'WORLD_SIZE' in os.environ


def end_process(status: int = 0) -> NoReturn:
    """End this process without tearing the interpreter down.

    First the threads that aren't daemons end, the functions registered with
    ``atexit`` run, and both outputs are flushed. Living objects are not deleted,
    so an open file loses the bytes that it has not written yet.

    Args:
        status: The exit status of the process, 0 to 255.
    """
    # The two steps before the interpreter's teardown; neither has a public name.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(status)
