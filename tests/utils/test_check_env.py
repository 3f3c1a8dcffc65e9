"""The stack check, run in fresh interpreters that see made-up installations only."""

import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import tfinet_mm
from tfinet_mm.errors import StackError
from tfinet_mm.utils.check_env import STACKS, check_stack, parse_version

ROOT = Path(tfinet_mm.__file__).parents[1]
ONEDL = {
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmsegmentation': '1.4.2',
}
OPENMMLAB = {'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmsegmentation': '1.2.2'}
MODULES = ('mmengine/registry', 'mmcv/transforms', 'mmseg/registry')


def import_with(
    folder: Path, versions: dict, modules=MODULES, imported='tfinet_mm'
) -> subprocess.CompletedProcess:
    """Import the package, or a part, where only these distributions and modules are installed."""
    for name, version in versions.items():
        info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    for module in modules:
        package = folder / module
        package.mkdir(parents=True)
        for part in (package, *package.parents):
            if part == folder:
                break
            # Importing any of them would end the test: only their metadata may be read.
            (part / '__init__.py').write_text('raise SystemExit("imported")\n')
    # -S and -I: no site-packages, no environment; the standard library and these two folders.
    code = (
        f'import sys; sys.path += [{str(folder)!r}, {str(ROOT)!r}]; import {imported}; print("ok")'
    )
    return subprocess.run(
        [sys.executable, '-I', '-S', '-c', code], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize('versions', [ONEDL, OPENMMLAB, {}], ids=['onedl', 'openmmlab', 'sources'])
def test_stacks_that_work_are_accepted(tmp_path, versions):
    result = import_with(tmp_path, versions)
    assert result.stdout == 'ok\n', result.stderr


BAD = {
    'mmengine alone': (
        {'onedl-mmengine': '0.10.12'},
        ('mmengine/registry',),
        ['mmcv is not installed', 'mmseg is not installed'],
        ['pip install "tfinet-mm[mm]"', 'pip install -e ".[mm]"'],
    ),
    'word segmenter': (
        {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'mmseg': '1.3.0'},
        ('mmengine/registry', 'mmcv/transforms', 'mmseg'),
        ['is not MMSegmentation', 'Chinese word segmenter'],
        ['pip uninstall -y mmseg', 'pip install "tfinet-mm[mm]"'],
    ),
    'mmcv that mmseg refuses': (
        OPENMMLAB | {'mmcv': '2.2.0'},
        MODULES,
        ['mmcv 2.2.0 is installed, >=2.0.0,<2.2.0 is needed'],
        ['pip install "tfinet-mm[openmmlab]"'],
    ),
    'mmcv without operators': (
        {'mmengine': '0.10.7', 'mmcv-lite': '2.1.0', 'mmsegmentation': '1.2.2'},
        MODULES,
        ['mmcv-lite 2.1.0', 'compiled operators'],
        ['pip uninstall -y mmcv-lite', 'pip install "tfinet-mm[openmmlab]"'],
    ),
    'mixture': (
        ONEDL | {'mmengine': '0.10.7'},
        MODULES,
        ['overwrite each other', 'mmengine 0.10.7', 'onedl-mmcv 2.3.6'],
        [
            'pip uninstall -y mmengine onedl-mmcv onedl-mmengine onedl-mmsegmentation',
            'pip install "tfinet-mm[mm]"',
        ],
    ),
    'old mmcv': (
        {'mmcv-full': '1.7.2', 'mmengine': '0.10.7', 'mmsegmentation': '1.2.2'},
        ('mmengine/registry', 'mmcv', 'mmseg/registry'),
        ['too old', 'mmcv.transforms'],
        ['pip uninstall -y mmcv-full', 'pip install "tfinet-mm[openmmlab]"'],
    ),
    'old onedl': (
        ONEDL | {'onedl-mmengine': '0.10.8'},
        MODULES,
        ['onedl-mmengine 0.10.8 is installed, >=0.10.12 is needed'],
        ['pip install "tfinet-mm[mm]"'],
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_what_cannot_work_is_named_with_the_line_that_mends_it(tmp_path, case):
    versions, modules, reasons, remedies = BAD[case]
    result = import_with(tmp_path, versions, modules)
    assert result.returncode == 1
    last = result.stderr.split('StackError: ')
    assert len(last) == 2, f'one message, without a chain of others: {result.stderr}'
    for text in (*reasons, *remedies):
        assert text in last[1]


def test_without_any_of_them_only_their_parts_are_refused(tmp_path):
    assert import_with(tmp_path, {}, ()).stdout == 'ok\n'
    result = import_with(tmp_path, {}, (), 'tfinet_mm.registry')
    last = result.stderr.split('StackError: ')
    assert len(last) == 2, f'one message, without a chain of others: {result.stderr}'
    for text in ('torch is not installed', 'mmengine is not installed', 'NETWORK.onnx'):
        assert text in last[1]
    assert 'pip install "tfinet-mm[mm]"' in last[1]


LOOK_UP = """
import sys
sys.path.insert(0, {folder!r})
from mmengine.registry import MODELS, DefaultScope
from mmseg.registry import MODELS as MMSEG_MODELS
def build(scope, registry):
    with DefaultScope.overwrite_default_scope(scope):
        registry.build(dict(type='tfinet_mm.SemanticChangeDetector'))
for scope, registry in (('mmseg', MMSEG_MODELS), ('mmengine', MODELS), ('tfinet_mm', MODELS)):
    try:
        build(scope, registry)
    except Exception as error:
        print('GOT', scope, type(error).__name__, ' '.join(str(error).split()))
"""


def test_a_registry_that_meets_the_prefix_ends_with_the_message(tmp_path):
    """MMEngine catches ImportError and AttributeError there, and then raises a bare KeyError."""
    assert not issubclass(StackError, ImportError | AttributeError)
    other = {'onedl-mmengine': '0.10.8', 'mmengine': '0.10.3'}
    for name, version in other.items():
        info = tmp_path / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', LOOK_UP.format(folder=str(tmp_path))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = [line for line in result.stdout.splitlines() if line.startswith('GOT')]
    assert [line.split()[1:3] for line in found] == [
        [scope, 'StackError'] for scope in ('mmseg', 'mmengine', 'tfinet_mm')
    ], result.stderr
    for line in found:
        assert 'needs torch, MMEngine, MMCV and MMSegmentation' in line
        assert 'is installed, >=' in line
        assert 'This mends it: pip' in line


def test_the_environment_of_these_tests_passes_in_milliseconds():
    start = time.perf_counter()
    check_stack()
    assert time.perf_counter() - start < 0.5


def test_ranges_agree_with_the_extras():
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project'][
        'optional-dependencies'
    ]
    for extra, requirements in STACKS.items():
        for requirement in requirements.values():
            (line,) = [line for line in extras[extra] if line.startswith(requirement.name)]
            bound = line[len(requirement.name) :]
            if bound.startswith('=='):
                assert requirement.accepts(parse_version(bound[2:]))
            else:
                assert bound == requirement.range
