"""Run a command whose output goes to the terminal and to a log, and that ends when we do."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from tfinet_mm.errors import StageError

if sys.platform != 'win32':
    import fcntl


def shown_command(command: Sequence[str]) -> str:
    """A command as a line to copy into a shell, ``'python'`` being this Python."""
    words = list(command)
    if words[0] == 'python':
        found = shutil.which('python')
        words[0] = 'python' if found and os.path.samefile(found, sys.executable) else sys.executable
    return shlex.join(words)


def run_command(
    command: Sequence[str], log: Path, out: BinaryIO, inherited: Sequence[int] = ()
) -> None:
    """Run a command to its end.

    Args:
        command: Its words; ``'python'`` as the first is this Python, which
            scripts find in the variable ``PYTHON``.
        log: File that its output is appended to, after the time and the command.
        out: Where the output goes as well, as it comes.
        inherited: Open files that it keeps open.

    Raises:
        StageError: It can't be started, or ends with another exit code than 0.
    """
    line = shown_command(command)
    program = sys.executable if command[0] == 'python' else command[0]
    environment = {'PYTHON': sys.executable, **os.environ, 'PYTHONUNBUFFERED': '1'}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('ab') as file:
        file.write(f'\n# {time.strftime("%Y-%m-%d %H:%M:%S")} {line}\n'.encode())
        file.flush()
        try:
            process = subprocess.Popen(
                [program, *command[1:]],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(inherited),
            )
        except OSError as error:
            raise StageError(
                f'could not be started: {error}; its command is\n    {line}'
            ) from error
        with _ends_with_us(process):
            if process.stdout is not None:
                while chunk := os.read(process.stdout.fileno(), 65536):
                    for target in (file, out):
                        target.write(chunk)
                        target.flush()
            process.wait()
    if process.returncode:
        code = process.returncode
        how = f'exit code {code}' if code > 0 else f'signal {signal.Signals(-code).name}'
        raise StageError(
            f'failed with {how}; its command was\n    {line}\nits log is {log}\n'
            'start the recipe again to go on from here'
        )


@contextmanager
def alone_in(folder: Path) -> Iterator[tuple[int, ...]]:
    """Keep other runs out of a folder, as long as any command of this one lives.

    Args:
        folder: The folder; it is made if missing.

    Yields:
        Open files that every command has to inherit, since the lock is held as
        long as any process has it open. Where there are no such locks, none.

    Raises:
        StageError: Another run is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == 'win32':
        yield ()
        return
    with (folder / '.lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(
                f'another run of a recipe is at work in {folder}, or a command that it started; '
                'wait for it, or stop it'
            ) from None
        yield (lock.fileno(),)


@contextmanager
def _ends_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a process when this one is stopped or fails."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        signal.signal(signal.SIGTERM, previous)
