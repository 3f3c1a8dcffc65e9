"""Start the ranks of a run on this machine, and end with the first error.

    python -m tfinet_mm.engine.launcher [options of torchrun] SCRIPT [arguments]

It works as ``torchrun``, but ends a failed run with another report: the last line is the error
of the rank that failed first, and the exit code is that of this rank. torchrun ends with a table
and a traceback of the launcher.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

# torch's function has no annotations.
torchrun: Any = run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ranks.

    Args:
        arguments: As ``torchrun`` takes them.

    Returns:
        The exit code: 0, that of the rank that failed first, or 128 and the
        number of the signal that stopped this rank or the launcher.
    """
    # torchrun prints a warning in every run where it has to set this.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    try:
        torchrun.run(torchrun.parse_args(arguments))
    except ChildFailedError as error:
        rank, failure = first_failure(error.failures)
        sys.stdout.flush()
        print(f'rank {rank}: {said(failure)}', file=sys.stderr, flush=True)
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as error:
        print(f'stopped by {error.sigval.name}', file=sys.stderr, flush=True)
        return 128 + int(error.sigval)
    return 0


def first_failure(failures: Mapping[int, Any]) -> tuple[int, Any]:
    """Find the rank that failed first.

    Args:
        failures: torch's ``ProcessFailure`` by rank.

    Returns:
        The rank and its failure. torch knows the time of an error to the second;
        within one, the time of the error's file decides.
    """

    def order(rank: int) -> tuple[int, float, int]:
        failure = failures[rank]
        try:
            when = os.stat(failure.error_file).st_mtime
        except OSError:
            when = float(failure.timestamp)
        # Once a rank has failed, others lose their connection to it, and torchrun stops the rest.
        follows = 2 if -failure.exitcode == signal.SIGTERM else int(_lost_connection(failure))
        return follows, when, rank

    rank = min(failures, key=order)
    return rank, failures[rank]


def said(failure: Any) -> str:
    """Return the text of the error that a rank ended with, or its signal or status.

    Args:
        failure: torch's ``ProcessFailure``.
    """
    if failure.error_file_data.get('message') not in (None, '<NONE>'):
        return _text(failure.message)
    if failure.exitcode < 0:
        number = -failure.exitcode
        hint = ', often for lack of memory' if number == signal.SIGKILL else ''
        return f'killed by {failure.signal_name()} (signal {number}){hint}'
    return f'ended with status {failure.exitcode}; what it printed is above'


def _text(message: Any) -> str:
    if isinstance(message, Mapping):
        message = message.get('message', message)
    return str(message)


def _lost_connection(failure: Any) -> bool:
    text = _text(failure.message)
    return any(
        part in text
        for part in (
            'Connection closed by peer',
            'Connection reset by peer',
            'Broken pipe',
            'DistNetworkError',
            'DistBackendError',
            'Connection refused',
        )
    )


if __name__ == '__main__':
    sys.exit(main())
