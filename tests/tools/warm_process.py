"""Run programs in processes that have already imported torch, MMEngine and mmseg, to save seconds.

Nothing of this package is imported before a program starts, so each program imports it afresh. A
line of JSON on the standard input asks for a program: its words, the first of which is a file, the
folder to run in and the file to print to. The answer is two lines: the process's number, then its
exit code.
"""

import gc
import importlib
import json
import os
import runpy
import sys

IMPORTED = (
    'cv2',
    'matplotlib.figure',
    'matplotlib.pyplot',
    'mmcv',
    'mmengine.runner',
    'mmseg.apis',
    'mmseg.models',
    'scipy.ndimage',
    'torch._dynamo',
    'yapf.yapflib.yapf_api',
)


def _next_program() -> dict | None:
    """Return the program to run in a new process; in this one, return None at the input's end."""
    # Read without a buffer, since the new process would get a copy of it.
    with os.fdopen(os.dup(0), 'rb', buffering=0) as requests:
        while request := requests.readline():
            process = os.fork()
            if process == 0:
                return json.loads(request)
            print(process, flush=True)
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            print(code, flush=True)
    return None


def _become(words: list[str], folder: str, output: str) -> None:
    """Set the state that Python gives a program that was started with these words."""
    os.chdir(folder)
    for number, file, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, output, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(file, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)
    sys.argv = words
    sys.path[0] = os.path.dirname(os.path.abspath(words[0]))


if __name__ == '__main__':
    for name in IMPORTED:
        importlib.import_module(name)
    assert not any(name.startswith('tfinet_mm') for name in sys.modules)
    gc.freeze()  # or the collector of each process would touch, and so copy, all objects
    program = _next_program()
    if program is not None:
        _become(**program)
        runpy.run_path(program['words'][0], run_name='__main__')
