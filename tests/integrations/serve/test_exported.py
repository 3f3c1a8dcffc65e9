"""Test a server of an exported network, in processes that can't import torch."""

import io
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import numpy as np
import pytest
import tiny_export
from PIL import Image

from tfinet_mm.errors import ExportedFileError, MissingExtraError
from tfinet_mm.integrations.serve import command, network
from tfinet_mm.integrations.serve.network import ServedNetwork, served_network

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
TOOL = Path(__file__).parents[3] / 'tools' / 'serve.py'
BAN = """
import importlib.util, sys

BANNED = {'torch', 'mmengine', 'mmcv', 'mmseg', 'safetensors'}

class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in BANNED:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name.partition('.')[0])

sys.meta_path.insert(0, Ban())
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in BANNED else find_spec(name, *rest)
"""
"""Start of each Python below it: as if torch and OpenMMLab's packages were not installed."""


@pytest.fixture
def file(tmp_path):
    tiny_export.write(tmp_path / 'tiny.onnx')
    return tmp_path / 'tiny.onnx'


def described(*words, devices=()):
    args = command.parse_args(list(words))
    return served_network(args.network, args.prediction, devices)


@pytest.fixture
def server(tmp_path, file):
    """The address of a server without torch."""
    pytest.importorskip('uvicorn')
    (tmp_path / 'ban').mkdir()
    (tmp_path / 'ban' / 'sitecustomize.py').write_text(BAN)
    places = [str(tmp_path / 'ban'), str(TOOL.parents[1])]
    words = ['--port', '0', '--folder', str(tmp_path / 'serve'), '--backend', 'onnxruntime']
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', str(TOOL), str(file), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | dict(PYTHONPATH=os.pathsep.join(places), OMP_NUM_THREADS='1'),
    )
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        address = re.search(r'http://127\.0\.0\.1:\d+', lines[1])
        assert address, lines + process.stdout.readlines()
        yield address[0]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()


def test_pictures_are_predicted_without_torch(server, tmp_path):
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 256, (2, 24, 40, 3), np.uint8)
    pair[1, :, :20] = pair[0, :, :20]
    for name, image in zip(('before', 'after'), pair, strict=True):
        Image.fromarray(image).save(tmp_path / f'{name}.png')
    with httpx.Client(base_url=server, trust_env=False, timeout=120) as client:
        said = client.get('/api/network').json()
        assert said == dict(
            name='tiny.onnx', program='ONNX Runtime', version=version('onnxruntime')
        )
        page = client.get('/').text
        assert f'predicts with tiny.onnx in ONNX Runtime {version("onnxruntime")}' in page
        assert str(tmp_path) not in page
        files = {name: (tmp_path / f'{name}.png').read_bytes() for name in ('before', 'after')}
        sent = {name: (f'{name}.png', data) for name, data in files.items()}
        job = client.post('/api/jobs', files=sent).json()
        job = client.get(job['url'], params=dict(wait=100)).json()
        log = client.get(job['log']).text
        assert (job['state'], job['error']) == ('done', None), log
        assert f'Predicting with onnxruntime {version("onnxruntime")} in float32' in log
        found = {one['name']: client.get(one['url']).content for one in job['files']}
    change = np.asarray(Image.open(io.BytesIO(found['change_prob/before.png']))) / 255
    joined = np.concatenate(pair, axis=2).transpose(2, 0, 1)
    probability = tiny_export.expected(joined[np.newaxis])[2][0, 0]
    np.testing.assert_allclose(change, probability, atol=0.6 / 255)
    assert np.ptp(change) > 0.5


def test_what_a_server_tells_of_its_network(file):
    assert described(str(file), '--backend', 'onnxruntime') == ServedNetwork(
        'tiny.onnx', 'ONNX Runtime', version('onnxruntime')
    )
    assert described().public() == dict(
        name='tfinet_lite0_fpn_generated', program='torch', version=version('torch')
    )
    assert described('a/config.py', 'b/best.pth', '--', '--backend', 'onnxruntime') == (
        ServedNetwork('best.pth', 'ONNX Runtime', version('onnxruntime'))
    )


def test_a_program_that_is_missing_is_named_with_its_extra(file, monkeypatch):
    monkeypatch.setattr(network, 'find_spec', lambda _: None)
    with pytest.raises(
        MissingExtraError, match=r'generated needs torch.*tfinet-mm\[mm\].*such as network\.onnx'
    ):
        described()
    monkeypatch.setattr('tfinet_mm.deploy.backends.find_spec', lambda _: None)
    with pytest.raises(MissingExtraError, match=r'tfinet-mm\[runtime\]'):
        described(str(file))


def test_what_would_end_each_job_ends_the_start(file):
    with pytest.raises(ValueError, match='takes no tta'):
        described(str(file), '--', '--no-tta')
    with pytest.raises(ValueError, match='takes no calibration'):
        described(str(file), '--', '--no-calibration')
    with pytest.raises(ValueError, match='--compile is an option of torch'):
        described(str(file), '--', '--compile', 'on')
    with pytest.raises(ValueError, match='takes no checkpoint'):
        described(str(file), 'best.pth')
    with pytest.raises(ValueError, match='run on the CPU here'):
        described(str(file), devices=['cuda:0'])
    with pytest.raises(ValueError, match=r"does not read .*tiny\.onnx; use backend='openvino'"):
        described(str(file), '--backend', 'torch')
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ExportedFileError):
        described(str(file))
    with pytest.raises(FileNotFoundError):
        described('lost.onnx')
