"""Serve a folder over HTTP from a process of its own, and note each request.

Python's own server sends whole files only, and a thread of this process would never answer:
GDAL holds Python's lock while it waits.
"""

import http.server
import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer HEAD and GET; ``options`` in a path say what the server can't do."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path, _, query = self.path.partition('?')
        wanted = self.headers.get('Range')
        # In one write, since another thread may write between a line and its end.
        print(json.dumps([self.command, self.path, wanted]) + '\n', end='', flush=True)
        if 'slow' in query:
            time.sleep(20)
        if 'forbidden' in self.path or ('nohead' in query and not body):
            return self.refuse(403, 'AccessDenied', body)
        file = Path(self.server.folder) / unquote(path).lstrip('/')
        if not file.is_file():
            known = (Path(self.server.folder) / path.split('/')[1]).is_dir()
            return self.refuse(404, 'NoSuchKey' if known else 'NoSuchBucket', body)
        data, size = file.read_bytes(), file.stat().st_size
        found = re.match(r'bytes=(\d+)-(\d*)$', wanted or '')
        if found and 'noranges' not in query:
            first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
            data = data[first : last + 1]
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {first}-{last}/{size}')
        else:
            self.send_response(200)
        if 'noetag' not in query:
            self.send_header('ETag', f'"{file.stat().st_mtime_ns:x}"')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def refuse(self, code, name, body):
        """Answer with an error, as storage like S3 writes it."""
        text = f'<?xml version="1.0"?><Error><Code>{name}</Code><Message>{name}</Message></Error>'
        self.send_response(code)
        self.send_header('Content-Type', 'application/xml')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        if body:
            self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class Served:
    """A running server: its address, and what was asked of it."""

    def __init__(self, url, log):
        self.url, self._log = url, log

    def requests(self):
        """Return method, path and range of each request since the last call."""
        found = [json.loads(line) for line in self._log.read_text().splitlines()]
        self._log.write_text('')
        return found


@contextmanager
def serve(folder, log):
    """Serve a folder in the block; ``log`` is a file that gets the requests."""
    with open(log, 'a') as requests:
        command = [sys.executable, __file__, str(folder)]
        process = subprocess.Popen(command, stdout=requests, stderr=subprocess.PIPE, text=True)
    try:
        port = int(process.stderr.readline())
        yield Served(f'http://127.0.0.1:{port}', Path(log))
    finally:
        process.kill()
        process.communicate()


if __name__ == '__main__':
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.folder = os.path.abspath(sys.argv[1])
    print(server.server_address[1], file=sys.stderr, flush=True)
    server.serve_forever()
