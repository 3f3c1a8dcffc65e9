"""Test the options of ``tfinet serve``, and the server that they start."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.errors import FolderInUseError, MissingExtraError
from tfinet_mm.integrations.serve import command
from tfinet_mm.integrations.serve.limits import Limits
from tfinet_mm.utils.folder_lock import FolderLock

TOKEN = 'sixteen-letters-'


def test_the_defaults_are_those_of_the_limits(monkeypatch):
    monkeypatch.delenv(command.TOKEN_VARIABLE, raising=False)
    args = command.parse_args([])
    assert command.limits_of(args) == Limits()
    assert (args.host, args.token, args.network, args.options) == ('127.0.0.1', '', [], [])


def test_options_set_limits_network_and_words_of_all_jobs():
    words = ['best.pth', '--max-megabytes', '0.5', '--max-picture-megapixels', '2']
    words += ['--max-scene-megapixels', '3', '--max-minutes', '4', '--max-waiting', '5']
    words += ['--max-kept', '6', '--keep-hours', '7', '--device', 'cuda:0', 'cuda:1']
    args = command.parse_args([*words, '--', '--no-tta', '--window', '512'])
    limits = Limits(1 << 19, 60.0, 2_000_000, 3_000_000, 5, 6, 240.0, 25200.0)
    assert command.limits_of(args) == limits
    assert args.network == ['best.pth']
    assert args.options == ['--no-tta', '--window', '512']
    assert args.device == ['cuda:0', 'cuda:1']


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--host', '0.0.0.0'], '--host 0.0.0.0 can be reached from other machines'),
        (['--host', 'maps.test'], 'needs a token'),
        (['--token', 'short'], '16 characters or more, got 5'),
        (['before.tif'], 'before.tif is no network'),
        (['a.py', 'b.pth', 'c.pth'], 'c.pth is no network'),
        (['--port', '70000'], '0 to 65535'),
        (['--keep-hours', '0'], 'expected a number above 0'),
        (['--max-kept', '0'], 'from 1 on'),
        (['--', '--out', 'x'], '--out after "--" is for the server'),
        (['--', '--device=cpu'], '--device=cpu after "--" is for the server'),
        (['--', '--windows', '3'], 'unrecognized arguments: --windows'),
    ],
)
def test_options_that_are_refused(monkeypatch, capsys, words, said):
    monkeypatch.delenv(command.TOKEN_VARIABLE, raising=False)
    with pytest.raises(SystemExit):
        command.parse_args(words)
    assert said in ' '.join(capsys.readouterr().err.split())


def test_the_token_may_come_from_a_variable(monkeypatch):
    monkeypatch.setenv(command.TOKEN_VARIABLE, TOKEN)
    assert command.parse_args(['--host', '0.0.0.0']).token == TOKEN


def test_names_of_networks_become_independent_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('best.pth').touch()
    words = ['tfinet_mm::tfinet_lite0_fpn.py', 'best.pth']
    assert command.network_words(words) == [words[0], str(tmp_path / 'best.pth')]
    assert command.network_words(['tfinet_lite0_fpn_generated']) == ['tfinet_lite0_fpn_generated']
    with pytest.raises(FileNotFoundError, match=r'no file lost.pth; give'):
        command.network_words(['lost.pth'])


def test_the_backend_is_an_option_of_all_jobs():
    args = command.parse_args(['a.onnx', '--backend', 'onnxruntime', '--', '--window', '64'])
    assert args.options == ['--backend', 'onnxruntime', '--window', '64']
    assert args.prediction.backend == 'onnxruntime'


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'uvicorn', None)
    with pytest.raises(MissingExtraError, match=r'uvicorn: pip install "tfinet-mm\[serve\]"'):
        command.main([])


def test_a_system_without_process_groups(monkeypatch):
    pytest.importorskip('uvicorn')
    monkeypatch.delattr(os, 'killpg')
    with pytest.raises(RuntimeError, match='use Linux, macOS or WSL'):
        command.main([])


def test_two_servers_on_one_folder(tmp_path):
    pytest.importorskip('uvicorn')
    lock = FolderLock(tmp_path, 'x')
    lock.acquire()
    with pytest.raises(FolderInUseError):
        command.main(['--folder', str(tmp_path), '--port', '0'])
    lock.release()


@pytest.mark.parametrize('host', ['127.0.0.1', '192.0.2.1'])
def test_a_port_or_a_host_that_cannot_be_had(host):
    with command.listening_socket('127.0.0.1', 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf'cannot listen on {host}, port {port}: .*--port'):
            command.listening_socket(host, port)


def test_a_server_answers_and_stops(tmp_path):
    """With the token, on a free port, until Ctrl+C; and closes what is left of it."""
    pytest.importorskip('uvicorn')
    words = [sys.executable, '-W', 'ignore', str(command_file()), '--port', '0']
    process = subprocess.Popen(
        [*words, '--folder', str(tmp_path / 'serve')],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {command.TOKEN_VARIABLE: TOKEN},
    )
    try:
        assert select.select([process.stdout], [], [], 60)[0]
        assert process.stdout.readline().startswith(f'Predicting with {DEFAULT} in torch 2.')
        line = process.stdout.readline()
        address = re.search(r'http://127\.0\.0\.1:\d+', line)
        assert address, line
        with httpx.Client(base_url=address[0], trust_env=False, timeout=20) as client:
            assert client.get('/api/jobs').status_code == 401
            answer = client.get('/api/jobs', headers={'Authorization': f'Bearer {TOKEN}'})
            assert answer.json() == []
            assert 'server' not in answer.headers
        process.send_signal(signal.SIGINT)
        left, _ = process.communicate(timeout=20)
        assert (left, process.returncode) == ('stopped\n', 130)
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / 'serve' / '.lock').exists()


def test_nothing_that_waits_delays_the_end(tmp_path):
    """Neither a stalled upload nor a request that waits for a job."""
    pytest.importorskip('uvicorn')
    words = [sys.executable, '-W', 'ignore', str(command_file()), '--port', '0']
    process = subprocess.Popen(
        [*words, '--folder', str(tmp_path / 'serve')],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        process.stdout.readline()
        line = process.stdout.readline()
        port = int(re.search(r'127\.0\.0\.1:(\d+)', line)[1])
        form = (
            b'Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9999\r\n\r\n--x\r\n'
        )
        with socket.create_connection(('127.0.0.1', port), timeout=20) as upload:
            upload.sendall(b'POST /api/jobs HTTP/1.1\r\nHost: localhost\r\n' + form)
            folder = tmp_path / 'serve/jobs'
            end = time.monotonic() + 20
            while not list(folder.iterdir()) and time.monotonic() < end:
                time.sleep(0.02)
            assert list(folder.iterdir())
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            answer = upload.recv(4096)
            left, _ = process.communicate(timeout=20)
        assert time.monotonic() - started < 4
        assert b' 503 ' in answer.splitlines()[0]
        assert (left, process.returncode) == ('stopped\n', 130)
        assert not list(folder.iterdir())
    finally:
        process.kill()
        process.wait()


def command_file():
    return Path(__file__).parents[3] / 'tools' / 'serve.py'
