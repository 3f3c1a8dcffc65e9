"""Test that the files, options and addresses that the Dockerfile names are there."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from documented import pages

from tfinet_mm.cli import TOOLS
from tfinet_mm.integrations.serve import command

ROOT = Path(__file__).parents[1]
FILE = ROOT / 'docker' / 'Dockerfile'
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))['project']
TOKEN = 'a token of this test'

if not FILE.is_file():
    pytest.skip('runs in a checkout', allow_module_level=True)


def instructions():
    """Return the instructions of the Dockerfile in their order, as pairs of name and text."""
    text = re.sub(r'^#.*\n', '', FILE.read_text(encoding='utf-8'), flags=re.M)
    lines = re.sub(r'\\\n\s*', '', text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def one(name):
    (found,) = [text for kind, text in instructions() if kind == name]
    return found


def copied():
    """Return what is copied from the checkout."""
    return [word for kind, text in instructions() if kind == 'COPY' for word in text.split()[:-1]]


def test_every_instruction_is_known():
    kinds = {kind for kind, _ in instructions()}
    assert kinds <= {
        *('FROM', 'RUN', 'ARG', 'WORKDIR', 'COPY', 'USER', 'VOLUME', 'EXPOSE', 'HEALTHCHECK'),
        *('ENTRYPOINT', 'CMD'),
    }
    assert instructions()[0][0] == 'FROM'


def test_what_is_copied_is_there_and_not_ignored():
    assert [word for word in copied() if not (ROOT / word).exists()] == []
    ignored = FILE.with_name('Dockerfile.dockerignore').read_text(encoding='utf-8').splitlines()
    assert ignored[1] == '*'
    assert {line[1:] for line in ignored if line.startswith('!')} == set(copied())


def test_all_that_a_build_of_the_package_reads_is_copied():
    read = {'pyproject.toml', 'setup.py', PROJECT['readme'], 'tfinet_mm'}
    shipped = re.search(r'^SHIPPED = (.*)$', (ROOT / 'setup.py').read_text(), re.M)[1]
    assert read | set(re.findall(r"'([^']+)'", shipped)) == set(copied())


def test_the_extras_and_the_python_are_supported():
    runs = [text for kind, text in instructions() if kind == 'RUN']
    (extras,) = re.findall(r'"\.\[(.*)\]"', ' '.join(runs))
    assert set(extras.split(',')) <= set(PROJECT['optional-dependencies'])
    assert 'serve' in extras
    version = re.fullmatch(r'python:(3\.\d+)-slim', one('FROM'))[1]
    assert f'Programming Language :: Python :: {version}' in PROJECT['classifiers']


def serve_options(words, monkeypatch):
    """Return the options of ``tfinet serve`` with words after the name of the image."""
    monkeypatch.setenv(command.TOKEN_VARIABLE, TOKEN)
    name, word, *fixed = json.loads(one('ENTRYPOINT'))
    assert name in PROJECT['scripts']
    assert word in TOOLS
    return command.parse_args([*fixed, *words])


def test_the_command_starts_a_server_that_the_port_and_the_volume_fit(monkeypatch):
    args = serve_options(json.loads(one('CMD')), monkeypatch)
    assert str(args.port) == one('EXPOSE')
    assert Path(args.folder).is_relative_to(one('VOLUME'))
    assert args.host == '0.0.0.0'
    monkeypatch.delenv(command.TOKEN_VARIABLE)
    with pytest.raises(SystemExit):
        command.parse_args(json.loads(one('ENTRYPOINT'))[2:])


def test_the_server_is_not_root():
    kinds = [kind for kind, _ in instructions()]
    assert kinds.index('USER') < kinds.index('ENTRYPOINT')
    assert one('USER') != 'root'


def test_the_check_of_health_is_python_and_asks_an_open_address():
    pytest.importorskip('fastapi')
    from tfinet_mm.integrations.serve.guard import OPEN

    options, _, words = one('HEALTHCHECK').partition(' CMD ')
    assert options == '--start-period=60s'
    program = json.loads(words)
    assert program[:2] == ['python', '-c']
    compile(program[2], 'HEALTHCHECK', 'exec')
    path = re.search(r"'http://127\.0\.0\.1:8000([^']*)'", program[2])[1]
    assert path in OPEN


def test_documented_commands_name_what_is_there(monkeypatch):
    lines = [line for _, line in pages.lines() if line.startswith('docker ')]
    assert {line.split()[1] for line in lines} == {'build', 'run'}
    for line in lines:
        words = shlex.split(line)
        if words[1] == 'build':
            assert ROOT / words[words.index('-f') + 1] == FILE
            image = words[words.index('-t') + 1]
            continue
        end = words.index(image)
        options = words[2:end]
        args = serve_options(words[end + 1 :], monkeypatch)
        assert options[options.index('-p') + 1].endswith(f':{args.port}')
        assert options[options.index('-e') + 1].startswith(f'{command.TOKEN_VARIABLE}=')
        assert options[options.index('-v') + 1].endswith(one('VOLUME'))
