"""A server in this process whose predictions a stand-in makes."""

import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip('fastapi')
pytest.importorskip('httpx')
pytest.importorskip('python_multipart')
pytest.importorskip('jinja2')

from starlette.testclient import TestClient

from tfinet_mm.integrations.serve.app import make_app
from tfinet_mm.integrations.serve.limits import Limits
from tfinet_mm.integrations.serve.queue import JobQueue

STAND_IN = [sys.executable, '-S', str(Path(__file__).with_name('stand_in.py'))]
ADDRESS = 'http://127.0.0.1:8000'


@pytest.fixture
def new_queue(tmp_path):
    """A function that makes the queue of a server in ``tmp_path``."""

    def make(limits=None, **options):
        options = dict(command=STAND_IN) | options
        return JobQueue(tmp_path / 'serve', Limits(**(limits or {})), **options)

    return make


class Client(TestClient):
    """A client with what the tests do often."""

    def upload(self, before=b'', after=b'', names=('b.tif', 'a.tif'), **fields):
        """Upload a pair of TIFFs by their first bytes, with some text in each."""
        files = [
            (date, (name, b'II*\0....' + text))
            for date, name, text in zip(('before', 'after'), names, (before, after), strict=True)
        ]
        return self.post('/api/jobs', files=files, data=fields)

    def until(self, job, *states, seconds=20):
        """Wait until a job is in one of these states, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.get(job['url']).json()
            if found['state'] in states:
                return found
            time.sleep(0.02)
        raise AssertionError(found)


@pytest.fixture
def serve(new_queue):
    """A function that starts a server and returns its client; all are closed after the test."""
    opened = []

    def start(limits=None, names=(), token='', **options):
        client = Client(make_app(new_queue(limits, **options), names, token), base_url=ADDRESS)
        client.__enter__()
        opened.append(client)
        return client

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve):
    """A server with the limits that it has by default."""
    return serve()


@pytest.fixture
def folders(tmp_path):
    """A function that returns the folders of the jobs."""
    return lambda: sorted(path for path in (tmp_path / 'serve' / 'jobs').iterdir())


@contextmanager
def listening(app):
    """Let a server listen on a free port, and yield its address."""
    uvicorn = pytest.importorskip('uvicorn')
    # Its own configuration of the logging would close the files of all logs in this process.
    config = uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield f'http://127.0.0.1:{socket.getsockname()[1]}'
    finally:
        server.should_exit = True
        thread.join(20)
        socket.close()


@pytest.fixture
def listen(new_queue):
    """A function that makes a server that listens; a context of its address."""

    def start(limits=None, token='', **options):
        return listening(make_app(new_queue(limits, **options), token=token))

    return start
