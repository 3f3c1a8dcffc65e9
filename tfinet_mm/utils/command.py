"""End a command with its result, one line that says what was wrong, or a traceback."""

from __future__ import annotations

import argparse
import ast
import contextlib
import dis
import logging
import os
import select
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from tfinet_mm.errors import TFINetError
from tfinet_mm.utils.ending import end_process, is_rank

PACKAGE = Path(__file__).resolve().parents[1]
FAILED = 2
"""Exit status of a command that ends with an expected error; 1 is that of bugs."""
STOPPED = 130
UNREAD = 141
"""Exit status of a command whose output is closed: 128 + SIGPIPE, as shells have it."""
WARNING_MODULES = 'warnings', '_py_warnings'
"""Modules of Python between a warning and what shows it; the second is that of Python 3.14."""
TRACEBACK_OPTION = '--traceback'
DEVICE_WORDS = ('CUDA', 'cuDNN', 'NCCL', 'out of memory', 'MPS backend')
"""Words of errors that are a device's, not those of the code on it."""


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command for people who don't read tracebacks.

    An expected error (see :func:`is_expected`) becomes one line on the error output and the exit
    status 2. Its traceback goes to the log file of the run, where there is one, or to the
    terminal with ``--traceback``. Other errors are bugs and keep their traceback and the status 1.
    A process that torchrun started leaves every error where its launcher looks for it, and a
    process that is one of several ends by :func:`~tfinet_mm.utils.ending.end_process`.

    Args:
        main: Function of the command; returns its exit status, None for 0.

    Raises:
        SystemExit: With the status, unless it is 0.

    Example:
        >>> from tfinet_mm.errors import SceneError
        >>> def main():
        ...     raise SceneError('one file has no CRS; say which with --before-crs')
        >>> run_command(main)
        Traceback (most recent call last):
        SystemExit: 2
    """
    try:
        _run(main)
    except SystemExit as end:
        # Known only now: the launchers of clusters are options of the command.
        if is_rank():
            if not isinstance(end.code, int | None):
                # Python prints an exit code that is a text.
                print(end.code, file=sys.stderr)
                end_process(1)
            end_process(end.code or 0)
        raise
    except BaseException:
        if is_rank():
            traceback.print_exc()
            end_process(1)
        raise
    if is_rank():
        end_process()


def _run(main: Callable[[], int | None]) -> None:
    """Run a command, and raise SystemExit unless its status is 0, or the error of a bug."""
    # Names of files may hold bytes that are no text; a name is not worth an error.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors='backslashreplace')  # type: ignore[union-attr]
    # A line of the log that can't be printed is not worth a traceback either.
    log_tracebacks, logging.raiseExceptions = logging.raiseExceptions, False
    folder = Path(main.__code__.co_filename).parent
    try:
        with _plain_warnings([PACKAGE, folder.resolve()]):
            status = main()
            _flush(sys.stdout)
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        sys.exit(STOPPED)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
            # A reader of the output such as ``| head`` has closed the pipe, which is no error.
            _discard(sys.stdout)
            sys.exit(UNREAD)
        _tell_launcher(error)
        if not is_expected(error, folder):
            raise
        print(_report(error), file=sys.stderr, flush=True)
        sys.exit(FAILED)
    finally:
        logging.raiseExceptions = log_tracebacks
    if status:
        sys.exit(status)


@contextlib.contextmanager
def _plain_warnings(folders: Sequence[Path]) -> Iterator[None]:
    """Print the warnings of the code in ``folders`` as one line, without file and source line.

    They are those that this code raises, whatever place their ``stacklevel`` names, and those that
    name a place in it.
    """
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: Any) -> None:
        # A generator or a thread on the way lets stacklevel name a place outside the package.
        files = filename, _warning_file(sys._getframe(1))
        if any(_inside(file, folder) for file in files for folder in folders):
            print(f'warning: {message}', file=sys.stderr, flush=True)
        else:
            shown(message, category, filename, *rest)

    warnings.showwarning = show  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = shown


def _warning_file(frame: FrameType | None) -> str:
    """Return the file of the code that warned, from a frame of the module ``warnings``."""
    while frame is not None and frame.f_globals.get('__name__') in WARNING_MODULES:
        frame = frame.f_back
    return '' if frame is None else frame.f_code.co_filename


def is_expected(error: BaseException, folder: Path | None = None) -> bool:
    """Return whether an error explains a fault of an input, an option, a file or the machine.

    Args:
        error: An error that was caught.
        folder: Folder of the command, whose code counts as this package's own.

    Returns:
        True for the errors of this package, for those about files and memory, for a device's, for
        a type that no registry has, and for a built-in error that this package or the
        command raises on purpose.
    """
    if isinstance(error, TFINetError | OSError | MemoryError):
        return True
    if isinstance(error, RuntimeError) and any(word in str(error) for word in DEVICE_WORDS):
        return True
    if isinstance(error, KeyError):
        return 'registry' in str(error) and 'mmengine' in _raising_file(error)
    if not isinstance(error, ValueError | TypeError | RuntimeError | ImportError):
        return False
    return _raised_by(error, [PACKAGE, *([folder.resolve()] if folder else [])])


def message_of(error: BaseException) -> str:
    """Return an error's message, without the traceback of a worker that PyTorch puts into it.

    Example:
        >>> message_of(KeyError('no such class'))
        'no such class'
    """
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if not _from_worker(text):
        return text
    # The last part of a traceback: after the frames, "package.ErrorName: message".
    lines = text.rstrip().splitlines()
    last_frame = max((i for i, line in enumerate(lines) if line.startswith('  ')), default=0)
    said = '\n'.join(lines[last_frame + 1 :])
    name, colon, message = said.partition(': ')
    return message if colon and name.rpartition('.')[2] == type(error).__name__ else said


def add_traceback_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--traceback``, which :func:`run_command` looks for, to the options of a command."""
    parser.add_argument(
        TRACEBACK_OPTION, action='store_true', help='show where in the code an error was raised'
    )


class KeyValueAction(argparse.Action):
    """Read ``--cfg-options KEY=VALUE`` as MMEngine does, with an error that names the option.

    A text keeps its blanks. One in quotes that the shell leaves in place,
    ``KEY="'a, b'"``, keeps its commas and brackets too. The option may come several times.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Read ``KEY=VALUE`` words; one without ``=`` or with open brackets ends the command."""
        read = dict(getattr(namespace, self.dest, None) or {})
        for word in values or ():
            key, sign, value = str(word).partition('=')
            if not sign or not all(part.strip() for part in key.split('.')):
                parser.error(
                    f'argument {option_string}: expected KEY=VALUE with a dotted key, such as '
                    f'train_dataloader.batch_size=4, got {word!r}'
                )
            if not _is_quoted(value) and any(
                value.count(left) != value.count(right) for left, right in ('()', '[]')
            ):
                parser.error(f'argument {option_string}: brackets stay open in {word!r}')
            read[key] = _read_value(value)
        setattr(namespace, self.dest, read)


def _read_value(text: str) -> Any:
    """Read the value of a key of a config."""
    if _is_quoted(text):
        return ast.literal_eval(text)
    # Commands that predict with an exported network have the option, and no MMEngine.
    from mmengine.config import DictAction

    value = DictAction._parse_iterable(text)
    return text.strip('\'" ') if isinstance(value, str) else value


def _is_quoted(value: str) -> bool:
    """Return whether a value is a text in quotes, as Python writes it."""
    with contextlib.suppress(ValueError, SyntaxError):
        return value[:1] in ('"', "'") and isinstance(ast.literal_eval(value), str)
    return False


def seed(text: str) -> int:
    """Read the seed of NumPy and PyTorch, as the type of an option.

    Example:
        >>> seed('7')
        7
    """
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(
            f'a seed is a whole number from 0 to 2**32 - 1, got {text}'
        )
    return value


def count(text: str) -> int:
    """Read a number of things, as the type of an option.

    Example:
        >>> count('7')
        7
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number from 1 on, got {text}')
    return value


def add_config_options(parser: Any, help: str = 'set values in the config') -> None:
    """Add ``--cfg-options`` to a parser, or to a group of one."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=KeyValueAction, metavar='KEY=VALUE', help=help
    )


def _flush(stream: Any) -> None:
    if stream is not None and not stream.closed:
        stream.flush()


def _is_unread(stream: Any) -> bool:
    """Return whether the reader of a stream that is a pipe has closed it."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        # Not every system, nor every stream, can be asked.
        return False


def _discard(stream: Any) -> None:
    """Discard the output that a stream hasn't written yet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _report(error: Exception) -> str:
    """Return the line for the terminal, after the traceback if that is asked for."""
    line = f'{type(error).__name__}: {message_of(error)}'
    if any(word.startswith('--traceb') for word in sys.argv[1:]):
        return ''.join(traceback.format_exception(error)).rstrip()
    files = _log(error)
    return f'{line} [traceback: {files[-1]}]' if files else line


def _log(error: Exception) -> list[str]:
    """Write the traceback to the log files of MMEngine's loggers, and return their names."""
    written: list[str] = []
    for logger, handler in _file_handlers():
        record = logger.makeRecord(
            logger.name,
            logging.ERROR,
            __file__,
            0,
            'the command ended with an error',
            (),
            (type(error), error, error.__traceback__),
        )
        handler.handle(record)
        written.append(os.path.relpath(handler.baseFilename))
    return written


def _file_handlers() -> Iterator[tuple[logging.Logger, logging.FileHandler]]:
    module = sys.modules.get('mmengine.logging.logger')
    loggers = getattr(getattr(module, 'MMLogger', None), '_instance_dict', {})
    for logger in loggers.values():
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler) and os.path.exists(handler.baseFilename):
                yield logger, handler


def _tell_launcher(error: Exception) -> None:
    """Write the error to the file in which torchrun looks for those of its processes."""
    if os.environ.get('TORCHELASTIC_ERROR_FILE'):
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        with contextlib.suppress(OSError):
            get_error_handler().record_exception(error)


def _last(error: BaseException) -> TracebackType | None:
    """Return the innermost frame of an error's traceback."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame


def _raising_file(error: BaseException) -> str:
    frame = _last(error)
    return frame.tb_frame.f_code.co_filename if frame is not None else ''


def _raised_by(error: BaseException, folders: Sequence[Path]) -> bool:
    """Return whether a ``raise`` in the code of one of the folders raised an error.

    An operation that fails in that code, such as ``None + 1``, is a bug.
    """
    text = str(error)
    if _from_worker(text):
        frames = [line for line in text.splitlines() if line.startswith('  File "')]
        return bool(frames) and any(_inside(frames[-1].split('"')[1], one) for one in folders)
    frame = _last(error)
    if frame is None or not any(_inside(_raising_file(error), one) for one in folders):
        return False
    code = frame.tb_frame.f_code.co_code
    return code[frame.tb_lasti] == dis.opmap['RAISE_VARARGS']


def _inside(file: str, folder: Path) -> bool:
    return Path(file).resolve().is_relative_to(folder)


def _from_worker(text: str) -> bool:
    return text.startswith('Caught ') and 'Original Traceback' in text
