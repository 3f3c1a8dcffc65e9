"""Test that the files, options and addresses that the Dockerfile names are there."""

import json
import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest
from documented import pages

from tfinet_mm.apis.network_files import is_exported
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


def stages():
    """Return the instructions of each stage with those of the stages it builds on, by name.

    The last one, which a build makes by default, has the name ''.
    """
    found = {}
    for kind, text in instructions():
        if kind == 'FROM':
            base, _, name = text.partition(' AS ')
            found[name] = list(found.get(base, []))
            current = found[name]
        current.append((kind, text))
    return found


def of_kind(stage, name):
    return [text for kind, text in stages()[stage] if kind == name]


def one(name, stage=''):
    """Return the text of an instruction, of several the last, which counts."""
    return of_kind(stage, name)[-1]


def copied():
    """Return what is copied from the checkout."""
    words = [text.split() for kind, text in instructions() if kind == 'COPY']
    return [word for line in words if not line[0].startswith('--from') for word in line[:-1]]


def test_every_instruction_is_known():
    kinds = {kind for kind, _ in instructions()}
    assert kinds <= {
        *('FROM', 'RUN', 'ARG', 'WORKDIR', 'COPY', 'USER', 'VOLUME', 'EXPOSE', 'HEALTHCHECK'),
        *('ENTRYPOINT', 'CMD'),
    }
    assert instructions()[0][0] == 'FROM'
    assert list(stages()) == ['source', 'server', 'torch', 'exporter', '']


def test_what_is_copied_is_there_and_not_ignored():
    assert [word for word in copied() if not (ROOT / word).exists()] == []
    ignored = FILE.with_name('Dockerfile.dockerignore').read_text(encoding='utf-8').splitlines()
    assert ignored[1] == '*'
    assert {line[1:] for line in ignored if line.startswith('!')} == set(copied())


def test_all_that_a_build_of_the_package_reads_is_copied():
    read = {'pyproject.toml', 'setup.py', PROJECT['readme'], 'tfinet_mm'}
    shipped = re.search(r'^SHIPPED = (.*)$', (ROOT / 'setup.py').read_text(), re.M)[1]
    assert read | set(re.findall(r"'([^']+)'", shipped)) == set(copied())


def extras(stage):
    """Return the extras that a stage installs."""
    runs = ' '.join(of_kind(stage, 'RUN'))
    return {extra for words in re.findall(r'"/src\[(.*?)\]"', runs) for extra in words.split(',')}


def test_the_extras_and_the_python_are_supported():
    assert extras('torch') == {'mm', 'geo', 'serve'}
    assert extras('exporter') == extras('torch') | {'export'}
    assert extras('') == {'runtime-geo', 'serve'}
    assert extras('') | extras('exporter') <= set(PROJECT['optional-dependencies'])
    for stage in set(stages()) - {'source'}:
        python = of_kind(stage, 'FROM')[0].partition(' AS ')[0]
        version = re.fullmatch(r'python:(3\.\d+)-slim', python)[1]
        assert f'Programming Language :: Python :: {version}' in PROJECT['classifiers']


def test_the_network_that_is_exported_is_the_one_that_is_served():
    name, word, *words = shlex.split(one('RUN', 'exporter'))
    assert name in PROJECT['scripts']
    parse = runpy.run_path(str(ROOT / 'tools' / TOOLS[word][0]))['parse_args']
    made = Path(parse(words).out)
    assert one('COPY').split() == ['--from=exporter', str(made.parent), str(made.parent)]
    assert json.loads(one('CMD'))[0] == str(made)
    assert is_exported(made)


def serve_options(words, monkeypatch):
    """Return the options of ``tfinet serve`` with words after the name of an image."""
    monkeypatch.setenv(command.TOKEN_VARIABLE, TOKEN)
    name, word, *fixed = json.loads(one('ENTRYPOINT'))
    assert name in PROJECT['scripts']
    assert word in TOOLS
    return command.parse_args([*fixed, *words])


@pytest.mark.parametrize('stage', ['', 'torch'])
def test_the_command_starts_a_server_that_the_port_and_the_volume_fit(stage, monkeypatch):
    args = serve_options(json.loads(one('CMD', stage)), monkeypatch)
    assert str(args.port) == one('EXPOSE')
    assert Path(args.folder).is_relative_to(one('VOLUME'))
    assert args.host == '0.0.0.0'
    monkeypatch.delenv(command.TOKEN_VARIABLE)
    with pytest.raises(SystemExit):
        command.parse_args(json.loads(one('ENTRYPOINT'))[2:])


@pytest.mark.parametrize('stage', ['', 'torch'])
def test_the_server_is_not_root_and_does_not_import_the_checkout(stage):
    assert one('USER', stage) == 'tfinet'
    assert one('WORKDIR', stage) == one('VOLUME')


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
    images = {}
    for line in lines:
        words = shlex.split(line)
        if words[1] == 'build':
            assert ROOT / words[words.index('-f') + 1] == FILE
            stage = words[words.index('--target') + 1] if '--target' in words else ''
            images[words[words.index('-t') + 1]] = stage
            continue
        (image,) = set(images) & set(words)
        end = words.index(image)
        options = words[2:end]
        args = serve_options(words[end + 1 :], monkeypatch)
        if words[end + 1 :] and images[image] == '':
            # There is no torch for other networks.
            assert is_exported(args.network[0])
        assert ('--gpus' in options) <= (images[image] == 'torch')
        assert options[options.index('-p') + 1].endswith(f':{args.port}')
        assert options[options.index('-e') + 1].startswith(f'{command.TOKEN_VARIABLE}=')
        assert options[options.index('-v') + 1].endswith(one('VOLUME'))
