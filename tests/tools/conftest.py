"""A network and a data set small enough to run the real tools on."""

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfinet_mm
from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset

ROOT = Path(tfinet_mm.__file__).parents[1]
TOOLS = ROOT / 'tools'

# TFINet on a ResNet-18 of an eighth of the width. SyncBN trains on GPUs only.
TINY = """
_base_ = {base!r}
data_root = {data!r}
norm = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(base_channels=8, stem_channels=8, norm_cfg=norm, init_cfg=None),
    neck=dict(in_channels=64),
    semantic_head=dict(in_channels=64, blocks=((16,), (8,))),
    change_head=dict(in_channels=128, blocks=((16,), (8,))),
)
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(data_root=data_root + '/train'))
val_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False,
    dataset=dict(data_root=data_root + '/val'))
test_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False,
    dataset=dict(data_root=data_root + '/val'))
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=1)
"""


@pytest.fixture(scope='session')
def tiny(tmp_path_factory):
    """Path of a config that trains in a second an epoch: four pairs, and three to test on."""
    folder = tmp_path_factory.mktemp('tiny')
    write_dataset(folder / 'data', 4, 3, SyntheticConfig(size=64))
    # The bases in a config of their own: the tools' own layout, from any folder.
    base = [
        str(ROOT / 'configs/_base_' / part)
        for part in (
            'models/tfinet_r18.py',
            'datasets/synthetic.py',
            'schedules/schedule_50e.py',
            'default_runtime.py',
        )
    ]
    config = folder / 'tiny config.py'
    config.write_text(TINY.format(base=base, data=str(folder / 'data')))
    return config


@pytest.fixture(scope='session')
def environment():
    """Environment of the tools' processes: one thread, no launcher's variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('SLURM_', 'OMPI_', 'MASTER_', 'TFINET_'))
        and name not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'PORT', 'NNODES', 'PYTHONPATH')
    }
    return kept | {
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '-1',
        'PYTHON': sys.executable,
    }


class WarmProcesses:
    """Starts programs in processes that needn't import torch, MMEngine and mmseg any more."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, '-W', 'ignore', str(Path(__file__).with_name('warm_process.py'))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def run(self, words: list[str], folder: Path, output: Path, timeout: float) -> int:
        """Run a program, print to the file ``output`` and return the exit code."""
        request = dict(words=words, folder=str(folder), output=str(output))
        self._server.stdin.write(json.dumps(request).encode() + b'\n')
        process = int(self._server.stdout.readline())
        if not select.select([self._server.stdout], [], [], timeout)[0]:
            os.kill(process, signal.SIGKILL)
            self._server.stdout.readline()
            raise subprocess.TimeoutExpired(words, timeout, output.read_bytes())
        return int(self._server.stdout.readline())

    def close(self) -> None:
        """End the process that the others come from."""
        self._server.stdin.close()
        self._server.wait(timeout=60)


@pytest.fixture(scope='session')
def warm(environment) -> Iterator[WarmProcesses]:
    """Processes that start at once."""
    processes = WarmProcesses(environment)
    yield processes
    processes.close()


@pytest.fixture
def run(environment, tmp_path, tmp_path_factory, request):
    """Run a tool in an empty folder, and return what it printed.

    A script starts as usual, and so does a Python file with variables of its own or ``warm=False``,
    for tests of what is imported and when. Other Python files run in warm processes, see
    ``warm_process.py``.
    """

    def _run(*command, env=None, code=0, timeout=240, warm=True):
        command = [str(part) for part in command]
        if command[0].endswith('.py') and env is None and warm:
            output = tmp_path_factory.mktemp('printed') / 'output.txt'
            processes = request.getfixturevalue('warm')
            returned = processes.run(command, tmp_path, output, timeout)
            printed = output.read_text()
        else:
            if command[0].endswith('.py'):
                command = [sys.executable, *command]
            result = subprocess.run(
                command,
                cwd=tmp_path,
                env=environment | (env or {}),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
            )
            returned, printed = result.returncode, result.stdout
        assert returned == code, printed[-5000:]
        return printed

    return _run


@pytest.fixture(scope='session')
def tools():
    """The folder of the tools."""
    return TOOLS


@pytest.fixture(scope='session')
def trained(tiny, warm, tmp_path_factory):
    """Work directory of a finished training of two epochs, and what was printed."""
    work_dir = tmp_path_factory.mktemp('trained')
    output = tmp_path_factory.mktemp('printed') / 'output.txt'
    words = [str(TOOLS / 'train.py'), str(tiny), '--work-dir', str(work_dir)]
    code = warm.run(words, work_dir, output, timeout=240)
    printed = output.read_text()
    assert code == 0, printed[-5000:]
    return work_dir, printed


@pytest.fixture
def ensemble(tiny, trained, tmp_path):
    """Path of a config of two members: the training's second epoch and its first."""
    config = tmp_path / 'ensemble.py'
    members = [
        dict(config=str(tiny), checkpoint=str(trained[0] / f'epoch_{epoch}.pth'))
        for epoch in (2, 1)
    ]
    config.write_text(
        f"""_base_ = {str(tiny)!r}
model = dict(_delete_=True, type='tfinet_mm.SCDEnsemble', members={members!r})
"""
    )
    return config


@pytest.fixture(scope='session')
def load_tool():
    """Import a tool by its path from tools/, to call its main() here."""

    def _load(name):
        path = TOOLS / name
        spec = importlib.util.spec_from_file_location(f'tool_{path.stem}', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return _load
