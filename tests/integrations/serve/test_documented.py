"""Test the commands of the page on the server: they work as they are written."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from documented import pages

from tfinet_mm.integrations.serve.options import FIELDS

PAGE = pages.ROOT / 'docs' / 'serve.md'
ADDRESS = 'http://127.0.0.1:8000'

if shutil.which('curl') is None or shutil.which('bash') is None:
    pytest.skip('no curl or bash on this machine', allow_module_level=True)


def test_curl(listen, tmp_path):
    """Each line of both blocks, with the id of the job that the first one made."""
    for date in ('before', 'after'):
        (tmp_path / f'{date}.tif').write_bytes(b'II*\0....')
    lines = [line for block in pages.blocks(PAGE) for line in block.splitlines()]
    lines = [line for line in lines if line.startswith('curl')]
    assert len(lines) > 8
    answers = {}
    with listen() as address:
        environment = {'PATH': os.environ['PATH']}
        for line in lines:
            assert ADDRESS in line
            command = line.replace(ADDRESS, address).replace('curl', 'curl -sS --fail', 1)
            done = subprocess.run(
                ['bash', '-c', command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, (line, done.stderr)
            answers[line] = done.stdout
            if len(answers) == 1:
                environment['ID'] = pages.re.search('"id":"([0-9a-f]+)"', done.stdout)[1]
    _, waited, *_ = answers.values()
    assert '"state":"done"' in waited
    assert (tmp_path / 'changes.zip').read_bytes().startswith(b'PK')
    assert (tmp_path / 'change.tif').read_bytes() == b'maps' * 1000
    assert 'Changes from before.tif' in Path(tmp_path / 'report.html').read_text()


def test_every_field_and_limit_is_described():
    text = PAGE.read_text(encoding='utf-8')
    assert [name for name in FIELDS if f'| `{name}` |' not in text] == []
