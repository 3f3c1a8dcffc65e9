"""End the process of a job with its server, by what the system does with open pipes."""

from __future__ import annotations

import os
import signal
import threading


def end_with_parent() -> None:
    """Kill this process and its children once the server, which holds its input open, is gone."""

    def wait() -> None:
        # Not sys.stdin, whose lock a thread that waits would hold at the end of the process.
        while os.read(0, 1):
            pass
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
