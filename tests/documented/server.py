"""Carry out the programs that a reader's commands start, in the reader's environment.

    python server.py SOCKET FOLDER_OF_WHEEL

Each is first read by its own parser, then run, in processes that have imported already what takes
seconds, but nothing of this package.
"""

import argparse
import contextlib
import gc
import importlib
import importlib.metadata
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
from functools import partial, reduce
from pathlib import Path

from documented import pages

IMPORTED = (
    'cv2',
    'matplotlib.figure',
    'matplotlib.pyplot',
    'mmcv',
    'mmengine.runner',
    'mmseg.apis',
    'mmseg.models',
    'rasterio',
    'scipy.ndimage',
    'torch._dynamo',
    'torch.distributed.run',
    'yapf.yapflib.yapf_api',
)
SECONDS = 250


class Parsed(BaseException):
    """The options were read, and nothing is to come after that."""


def serve(address: str, wheels: Path) -> None:
    """Take a request at a time; a process of its own carries it out."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print('ready', flush=True)
    while True:
        reader, _ = listener.accept()
        message, streams, *_ = socket.recv_fds(reader, 1 << 20, 3)
        while not message.endswith(b'\n'):
            message += reader.recv(1 << 20)
        status = in_process(partial(take_on, json.loads(message), streams, wheels))
        reader.sendall(f'{status}\n'.encode())
        reader.close()
        for stream in streams:
            os.close(stream)


def in_process(function) -> int:
    """Call a function in a process of its own; returns its exit status, 128 and more if killed."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            status = function() or 0
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            status = end.code if isinstance(end.code, int) else int(bool(end.code))
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(ValueError, OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return status if status >= 0 else 128 - status


def take_on(request: dict, streams: list[int], wheels: Path) -> int:
    """Become a program that was started with these words."""
    os.chdir(request['folder'])
    os.environ.clear()
    os.environ.update(request['environment'])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    # Made for what the server prints to, which may have been a file.
    sys.stdout, sys.stderr = (os.fdopen(n, 'w', buffering=1, closefd=False) for n in (1, 2))
    name, *words = request['words']
    name = os.path.basename(name)
    if pages.reason(pages.LEFT_OUT, ' '.join([name, *words])):
        return 0
    if name.startswith('python'):
        return python(words, wheels)
    if name == 'pip':
        return pip(words, wheels)
    points = list(importlib.metadata.entry_points(group='console_scripts', name=name))
    if not points:
        raise ValueError(f'the environment has no command {name}')
    return program(points[0].load(), name, words)


def python(words: list[str], wheels: Path) -> int:
    """Do what the interpreter does with its words."""
    if words[0] == '-u':
        words = words[1:]
    if words[:2] == ['-m', 'pip']:
        return pip(words[2:], wheels)
    if words[:2] == ['-m', 'tfinet_mm.engine.launcher']:
        from torch.distributed.run import parse_args

        args = parse_args(words[2:])
        return script(args.training_script, args.training_script_args, launched=True)
    if words[0].startswith('-'):
        return subprocess.run([sys.executable, *words]).returncode
    return script(words[0], words[1:])


def script(path: str, words: list[str], launched: bool = False) -> int:
    """Parse what a script is given, and run it unless a table says why not."""
    places = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    sys.path[0:1] = [os.path.dirname(os.path.abspath(path)), *filter(None, places)]
    status = in_process(partial(parse_script, path, words))
    why = pages.reason(pages.PARSED_ONLY, ' '.join([os.environ['COMMANDS_LINE'], path, *words]))
    if status or why:
        return status
    if launched:
        raise ValueError('several processes: pages.PARSED_ONLY has to say where they are tested')
    words = pages.shortened(path, words)
    sys.argv = [path, *words]
    print('$', 'python', *sys.argv, flush=True)
    signal.alarm(SECONDS)
    runpy.run_path(path, run_name='__main__')
    return 0


def program(main, name: str, words: list[str]) -> int:
    """Do what a command of the environment does with its words, one of this package as its tool."""
    if pages.reason(pages.PARSED_ONLY, ' '.join([name, *words])):
        return in_process(partial(parse_main, main, [name, *words]))
    tool = dict([('tfinet-predict', 'predict.py'), ('tfinet-report', 'report.py')]).get(name)
    own = []
    if name == 'tfinet' and words:
        from tfinet_mm.cli import TOOLS

        tool = TOOLS[words[0]][0] if words[0] in TOOLS else None
        own, words = words[:1], words[1:]
    if tool:
        from tfinet_mm.utils.project_files import project_folder

        status = in_process(partial(parse_script, str(project_folder('tools') / tool), words))
        if status:
            return status
        words = pages.shortened(f'tools/{tool}', words)
    sys.argv = [name, *own, *words]
    print('$', *sys.argv, flush=True)
    signal.alarm(SECONDS)
    return main() or 0


def parse_script(path: str, words: list[str]) -> None:
    """Read words as a script does, and the configs among them with the values set in them.

    Raises:
        SystemExit: The parser refuses them.
    """
    from mmengine.config import Config

    from tfinet_mm.utils.config.loading import load_config

    sys.argv = [path, *words]
    variables = runpy.run_path(path, run_name='parsed')
    parse = variables.get('parse_args')
    if parse is None and 'command' in variables:
        parse = getattr(sys.modules[variables['command'].__module__], 'parse_args', None)
    if parse is None:
        parse_main(variables.get('main') or variables['command'], sys.argv)
        values = {}
    else:
        args = parse(words)
        values = vars(args).get('cfg_options') or {}
    configs = [word for word in words if word.endswith('.py')]
    if path.endswith('recipe.py'):
        from tfinet_mm.recipe.config import load_recipe

        for config in configs:
            load_recipe(Path(config))
        return
    if '--setting' in words:
        # Not a whole config; its values replace some that it has.
        setting = Config.fromfile(words[words.index('--setting') + 1])
        configs.remove(setting.filename)
        for key in values:
            reduce(lambda part, name: part[name], key.split('.'), setting)
        values = {}
    for config in configs:
        load_config(config, values)


def parse_main(main, words: list[str]) -> None:
    """Call a main function up to where it has read its words."""

    def up_to_here(original):
        def parse(*arguments, **options):
            found = original(*arguments, **options)
            if isinstance(found, tuple) and found[1]:
                # Words that the parser doesn't know, which its caller refuses.
                return found
            raise Parsed

        return parse

    for name in ('parse_args', 'parse_intermixed_args', 'parse_known_intermixed_args'):
        original = getattr(argparse.ArgumentParser, name)
        setattr(argparse.ArgumentParser, name, up_to_here(original))
    sys.argv = words
    try:
        main()
    except Parsed:
        return
    raise RuntimeError(f'{words[0]} has read no options')


def pip(words: list[str], wheels: Path) -> int:
    """Let pip try an installation with the wheel in place of the package index.

    Requirements on other packages have to be in agreement with what the wheel's metadata say.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    metadata = importlib.metadata.metadata('tfinet-mm')
    needed = [Requirement(text) for text in metadata.get_all('Requires-Dist')]
    own = []
    for word in words:
        if re.match(r'\.(\[|$)', word):
            own.append(f'tfinet-mm{word[1:]}')
        elif word.startswith(('dist/', 'tfinet-mm')):
            own.append(re.sub(r'^dist/', f'{wheels}/', word))
        elif word != 'install' and not word.startswith('-'):
            asked = Requirement(word)
            for one in needed:
                same = canonicalize_name(one.name) == canonicalize_name(asked.name)
                versions = [version.version for version in asked.specifier]
                if same and versions and not all(one.specifier.contains(v) for v in versions):
                    raise ValueError(f'{word} is asked for, {one} is what the package needs')
    for word in own:
        extras = re.search(r'\[(.*)\]', word)
        for extra in extras[1].split(',') if extras else ():
            if extra not in metadata.get_all('Provides-Extra'):
                raise ValueError(f'the wheel does not provide the extra {extra} of {word}')
    options = ['--dry-run', '--no-index', '--no-deps', '--ignore-installed', '--no-build-isolation']
    if not own:
        return 0
    command = [sys.executable, '-m', 'pip', 'install', *options, '--find-links', str(wheels), *own]
    return subprocess.run(command).returncode


if __name__ == '__main__':
    for module in IMPORTED:
        importlib.import_module(module)
    assert not any(module.startswith('tfinet_mm') for module in sys.modules)
    sys.path.remove(str(Path(__file__).parents[1]))
    gc.freeze()  # or each process goes through all of it, and copies it by that
    serve(sys.argv[1], Path(sys.argv[2]))
