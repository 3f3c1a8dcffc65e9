"""The command ``tfinet serve``: a page and an interface over HTTP that predict pairs."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfinet_mm.apis.command_options import is_network
from tfinet_mm.apis.command_options import parse_args as parse_prediction
from tfinet_mm.checkpoints.shipped import is_shipped
from tfinet_mm.deploy.backends import BACKENDS
from tfinet_mm.errors import MissingExtraError
from tfinet_mm.integrations.serve.guard import host_name
from tfinet_mm.integrations.serve.limits import MEGABYTE, MEGAPIXEL, Limits
from tfinet_mm.integrations.serve.network import served_network
from tfinet_mm.integrations.serve.queue import JobQueue
from tfinet_mm.report import check_report
from tfinet_mm.utils.command import add_traceback_option, count, run_command
from tfinet_mm.utils.folder_lock import FolderLock
from tfinet_mm.utils.project_files import PREFIX

HOST = '127.0.0.1'
LOCAL = ('localhost', '127.0.0.1', '::1')
TOKEN_VARIABLE = 'TFINET_SERVE_TOKEN'
SHORTEST_TOKEN = 16
OWN_OPTIONS = ('--out', '--device', '--report', '--launcher', '--jobs', '--executor', '--dry-run')
"""Options of the command that predicts which the server sets itself, or can't use."""
EPILOG = (
    'Without CONFIG and CHECKPOINT, the weights that come with the package are used. An exported '
    'network (.onnx, .xml or .pt2) takes the place of CHECKPOINT, and needs no torch but for .pt2. '
    'Options after "--" are those of tfinet predict, for all jobs: '
    'tfinet serve best.pth -- --no-tta --window 512'
)


def positive(text: str) -> float:
    """Read a number above 0, as the type of an option.

    Example:
        >>> positive('0.5')
        0.5
    """
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'expected a number above 0, got {text}')
    return value


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the options after ``--`` are its ``options``."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index('--') if '--' in words else len(words)
    defaults = Limits()
    parser = argparse.ArgumentParser(
        description='Serve a page on this machine that predicts what changed between two images',
        usage='%(prog)s [[CONFIG] CHECKPOINT] [options] [-- options of tfinet predict]',
        epilog=EPILOG,
    )
    parser.add_argument('network', nargs='*', metavar='CHECKPOINT', help=argparse.SUPPRESS)
    parser.add_argument(
        '--host', default=HOST, help=f'address to listen on (default: {HOST}, this machine alone)'
    )
    parser.add_argument('--port', type=int, default=8000, help='port (default: 8000)')
    parser.add_argument(
        '--token',
        default=os.environ.get(TOKEN_VARIABLE, ''),
        help=f'token that each request needs, {SHORTEST_TOKEN} characters or more; another host '
        f'than this machine has to have one (default: ${TOKEN_VARIABLE}, which others on the '
        'machine do not see)',
    )
    parser.add_argument(
        '--allow-host',
        action='append',
        default=[],
        metavar='NAME',
        help='name of this machine by which browsers may call it; localhost and numeric addresses '
        'always may',
    )
    parser.add_argument(
        '--folder',
        default='work_dirs/serve',
        metavar='DIR',
        help='folder for uploads and results (default: work_dirs/serve)',
    )
    parser.add_argument(
        '--device',
        nargs='+',
        metavar='DEVICE',
        help="such as 'cpu' or 'cuda:0 cuda:1'; each predicts a job at a time (default: a GPU if "
        'any)',
    )
    parser.add_argument(
        '--backend',
        choices=('auto', 'torch', *(one for one in BACKENDS if one != 'torch')),
        help='program that runs the network (default: torch, and for an exported network OpenVINO '
        'or else ONNX Runtime)',
    )
    group = parser.add_argument_group('limits')
    for option, kind, default, metavar, said in (
        ('--max-megabytes', positive, defaults.upload_bytes / MEGABYTE, 'MB', 'size of a file'),
        (
            '--max-picture-megapixels',
            positive,
            defaults.picture_pixels / MEGAPIXEL,
            'N',
            'million pixels of a picture, which is in memory as a whole',
        ),
        (
            '--max-scene-megapixels',
            positive,
            defaults.scene_pixels / MEGAPIXEL,
            'N',
            'million pixels of a GeoTIFF',
        ),
        ('--max-minutes', positive, defaults.job_seconds / 60, 'MIN', 'time of a job'),
        ('--max-waiting', count, defaults.waiting, 'N', 'jobs that wait'),
        ('--max-kept', count, defaults.kept, 'N', 'jobs that have ended'),
        ('--keep-hours', positive, defaults.keep_seconds / 3600, 'H', 'time a job is kept'),
    ):
        text = f'{said} (default: {default:g})'
        group.add_argument(option, type=kind, default=default, metavar=metavar, help=text)
    add_traceback_option(parser)
    args = parser.parse_args(words[:end])
    chosen = [] if args.backend is None else ['--backend', args.backend]
    args.options = [*chosen, *words[end + 1 :]]
    try:
        check_args(args)
    except ValueError as error:
        parser.error(str(error))
    # The parser of the predictions refuses words that it doesn't know.
    args.prediction = parse_prediction(
        [*args.network, 'before.tif', 'after.tif', '--out', 'x', *args.options]
    )
    return args


def check_args(args: argparse.Namespace) -> None:
    """Refuse options that don't go together.

    Raises:
        ValueError: The message says which, and what to give.
    """
    lost = [word for word in args.network if not is_network(word)]
    if lost or len(args.network) > 2:
        raise ValueError(
            f'{lost[0] if lost else args.network[2]} is no network; give CHECKPOINT, CONFIG and '
            'CHECKPOINT, or neither'
        )
    own = [word for word in args.options if word.partition('=')[0] in OWN_OPTIONS]
    if own:
        raise ValueError(f'{own[0]} after "--" is for the server to set; leave it out')
    if not 0 <= args.port < 1 << 16:
        raise ValueError(f'--port takes 0 to 65535, got {args.port}')
    if args.host not in LOCAL and not args.token:
        raise ValueError(
            f'--host {args.host} can be reached from other machines, so it needs a token: --token '
            '"$(openssl rand -hex 16)"'
        )
    if args.token and len(args.token) < SHORTEST_TOKEN:
        raise ValueError(
            f'a token has {SHORTEST_TOKEN} characters or more, got {len(args.token)}: --token '
            '"$(openssl rand -hex 16)"'
        )


def network_words(words: Sequence[str]) -> list[str]:
    """Return the words of the network for a process in another folder.

    Raises:
        FileNotFoundError: A file isn't there.
    """
    made = []
    for word in words:
        named = word.startswith(PREFIX) or (is_shipped(word) and not os.path.exists(word))
        if not named and not os.path.isfile(word):
            raise FileNotFoundError(f'there is no file {word}; give a config or a checkpoint')
        made.append(word if named else os.path.abspath(word))
    return made


def limits_of(args: argparse.Namespace) -> Limits:
    """Return the limits that options set."""
    return Limits(
        upload_bytes=int(args.max_megabytes * MEGABYTE),
        picture_pixels=int(args.max_picture_megapixels * MEGAPIXEL),
        scene_pixels=int(args.max_scene_megapixels * MEGAPIXEL),
        waiting=args.max_waiting,
        kept=args.max_kept,
        job_seconds=args.max_minutes * 60,
        keep_seconds=args.keep_hours * 3600,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is told to stop.

    Raises:
        MissingExtraError: A package of the extra ``serve`` is missing, or the program that runs
            the network.
        ExportedFileError: An exported network can't be read.
        ValueError: An option doesn't go with an exported network.
        FolderInUseError: Another server has the folder.
        OSError: The port is taken.
        RuntimeError: The system has no process groups.
    """
    args = parse_args(arguments)
    make_app, uvicorn = _imported()
    check_report()
    if not hasattr(os, 'killpg'):
        raise RuntimeError(
            'a server stops its jobs by process groups, which this system does not have; use '
            'Linux, macOS or WSL'
        )
    network = network_words(args.network)
    served = served_network(args.network, args.prediction, args.device or ())
    folder = Path(args.folder)
    lock = FolderLock(folder, 'the jobs of a server')
    lock.acquire()
    try:
        queue = JobQueue(folder, limits_of(args), network, args.options, args.device or [None])
        names = {*args.allow_host, *([] if args.host in LOCAL else [host_name(args.host)])}
        config = uvicorn.Config(
            make_app(queue, names, args.token, served),
            host=args.host,
            port=args.port,
            # Each request of a page that waits would be a line.
            access_log=False,
            log_level='warning',
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        server = stopping_server(uvicorn.Server, config, queue)
        # Whoever follows the line below at once is kept waiting, not refused.
        with listening_socket(args.host, args.port) as listener:
            port = listener.getsockname()[1]
            shown = f'[{args.host}]' if ':' in args.host else args.host
            print(f'Predicting with {served.name} in {served.program} {served.version}'.rstrip())
            print(f'Open http://{shown}:{port} in a browser; Ctrl+C stops the server', flush=True)
            server.run([listener])
    finally:
        lock.release()


def stopping_server(kind: type[Any], config: Any, queue: JobQueue) -> Any:
    """Return a server of HTTP that stops the queue with its first signal.

    The application learns of the end only after all requests have ended, and one that waits for
    a job would last for minutes.

    Args:
        kind: ``uvicorn.Server``.
        config: Its configuration.
        queue: The jobs.
    """

    class Server(kind):
        def handle_exit(self, number: int, frame: Any) -> None:
            queue.stop()
            super().handle_exit(number, frame)

    return Server(config)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Name or address.
        port: 0 for a free one.

    Raises:
        OSError: The port is taken, needs more rights, or the host is none of this machine.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(
            f'the server cannot listen on {host}, port {port}: {error.strerror}; choose another '
            '--port, or a --host of this machine'
        ) from error


def _imported() -> tuple[Any, Any]:
    """Return the function that makes the application, and the server of HTTP."""
    try:
        import python_multipart  # noqa: F401
        import uvicorn

        from tfinet_mm.integrations.serve.app import make_app
    except ImportError as error:
        if (error.name or '').startswith('tfinet_mm'):
            raise
        raise MissingExtraError(
            f'a server needs {error.name}: pip install "tfinet-mm[serve]"'
        ) from error
    return make_app, uvicorn


def command() -> None:
    """Run as the command of the terminal."""
    run_command(main)
