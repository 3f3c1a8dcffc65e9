"""What a wheel holds besides Python files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import tfinet_mm

ROOT = Path(__file__).parents[1]

pytest.importorskip('setuptools')


def test_weights_their_cards_and_the_recipes_rules_are_built_in(tmp_path):
    """By this package's own build settings, on a copy with files of these names."""
    for name in ('pyproject.toml', 'setup.py', 'README.md'):
        if not (ROOT / name).is_file():
            pytest.skip('runs in a checkout')
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / 'configs' / '_base_').mkdir(parents=True)
    (tmp_path / 'configs' / '_base_' / 'data.py').touch()
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools' / 'dist_train.sh').write_text('exec true\n')
    (tmp_path / 'tools' / 'dist_train.sh').chmod(0o755)
    expected = {'__init__.py', 'version.py', 'py.typed', 'weights/a.safetensors', 'weights/a.md'}
    expected |= {
        f'{room}/{name}' for room in ('apis', 'recipe') for name in ('__init__.py', 'Snakefile')
    }
    for name in expected:
        path = tmp_path / 'tfinet_mm' / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes((ROOT / 'tfinet_mm' / name).read_bytes() if '.py' in name else b'x')
    command = [sys.executable, 'setup.py', '--quiet', 'build_py', '--build-lib', 'built']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    built = tmp_path / 'built' / 'tfinet_mm'
    found = {str(path.relative_to(built)) for path in built.rglob('*') if path.is_file()}
    # What OpenMMLab's mim looks for.
    assert found == expected | {'.mim/configs/_base_/data.py', '.mim/tools/dist_train.sh'}
    assert (built / '.mim/tools/dist_train.sh').stat().st_mode & 0o111


def test_the_citation_is_of_this_version():
    """By YAML's own reader, and with the keys that the format needs."""
    cited = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
    assert set(cited) >= {'cff-version', 'message', 'title', 'authors', 'version', 'license'}
    assert str(cited['version']) == tfinet_mm.__version__
    assert cited['authors']
    assert all(author['name'] for author in cited['authors'])


def test_hooks_before_a_commit_are_those_of_make_lint():
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text(encoding='utf-8'))
    entries = [hook['entry'] for repo in hooks['repos'] for hook in repo['hooks']]
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    recipe = makefile.partition('\nlint:')[2].partition('\n\n')[0].splitlines()[1:]
    commands = [re.sub(r'\t\$\(RUN\)|\t\$\(VENV\)/bin/', '', line) for line in recipe]
    assert [re.sub('^python| --force-exclude', '', entry).split()[:2] for entry in entries] == [
        command.split()[:2] for command in commands
    ]
