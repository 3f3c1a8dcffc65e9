"""Imports of Open-CD beside versions that it refuses: of a stand-in, and of Open-CD itself."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tfinet_mm.integrations.opencd import compat

ROOT = Path(__file__).parents[2]
INIT = """
import mmcv, mmdet, mmseg
assert mmcv.__version__ < '2.2.0' and mmseg.__version__ < '1.3.0', f'MMCV=={mmcv.__version__}'
VERSIONS = mmcv.__version__, mmseg.__version__, mmdet.__version__
"""


@pytest.fixture
def clean(monkeypatch):
    """The finders and modules of this process, put back afterwards."""
    # Another test of this process may have enabled Open-CD.
    others = [one for one in sys.meta_path if type(one).__module__ != compat.__name__]
    monkeypatch.setattr(sys, 'meta_path', others)
    before = set(sys.modules)
    yield monkeypatch
    for name in set(sys.modules) - before:
        if name.split('.')[0] in ('opencd', 'mmdet', 'mmpretrain'):
            del sys.modules[name]


def package(folder, name, text=''):
    (folder / name).mkdir(parents=True)
    (folder / name / '__init__.py').write_text(text)


@pytest.mark.skipif('opencd' in sys.modules, reason='Open-CD is imported already')
def test_versions_are_accepted_while_they_are_compared(clean, tmp_path):
    import mmcv
    import mmseg

    package(tmp_path, 'opencd', INIT)
    clean.syspath_prepend(tmp_path)
    said = mmcv.__version__, mmseg.__version__
    if said[0] >= '2.2.0':
        clean.setitem(sys.modules, 'mmdet', type(sys)('mmdet'))
        with pytest.raises(AssertionError, match='MMCV=='):
            __import__('opencd')
        clean.delitem(sys.modules, 'mmdet')
    clean.setattr(compat, 'NEEDED', ('json',))
    compat.enable()
    compat.enable()
    assert sum(isinstance(one, compat._OpenCDFinder) for one in sys.meta_path) == 1
    assert __import__('opencd').VERSIONS[:2] == ('2.1.0', '1.2.2')
    assert (mmcv.__version__, mmseg.__version__) == said


@pytest.mark.skipif('opencd' in sys.modules, reason='Open-CD is imported already')
def test_what_is_missing_is_named_with_the_line_that_installs_it(clean, tmp_path):
    package(tmp_path, 'opencd')
    clean.syspath_prepend(tmp_path)
    clean.setattr(compat, 'NEEDED', ('json', 'no_such_package'))
    compat.enable()
    with pytest.raises(compat.StackError, match=r'imports no_such_package, .* requirements/opencd'):
        __import__('opencd')
    assert (ROOT / compat.INSTALL.split()[-1]).is_file()


def test_compiled_operators_raise_when_they_are_called(clean):
    if 'mmcv._ext' in sys.modules:
        pytest.skip('MMCV has its operators')
    finder = compat._OperatorsFinder()
    assert finder.find_spec('mmcv.other') is None
    module = type(sys)('mmcv._ext')
    finder.exec_module(module)
    with pytest.raises(compat.StackError, match='the operator nms of MMCV is compiled code'):
        module.nms(1, 2)
    assert not hasattr(module, '__path__')


def test_a_program_runs_with_its_arguments(clean, tmp_path, capsys):
    from tfinet_mm.integrations.opencd.__main__ import main

    (tmp_path / 'beside.py').write_text('HERE = 5\n')
    (tmp_path / 'program.py').write_text(
        'import sys, beside\nif __name__ == "__main__":\n    print(beside.HERE, sys.argv[1:])\n'
    )
    clean.setattr(sys, 'argv', ['x', str(tmp_path / 'program.py'), 'config.py', '--amp'])
    clean.setattr(sys, 'path', list(sys.path))
    main()
    assert capsys.readouterr().out == "5 ['config.py', '--amp']\n"
    assert any(isinstance(one, compat._OpenCDFinder) for one in sys.meta_path)


def test_open_cd_itself_is_imported_unchanged(tmp_path):
    """With the archive of Open-CD 1.1 and an environment of what it imports, where they are."""
    archive = ROOT.parent / 'shared/open-cd/open-cd-1.1.0.tar.gz'
    sites = [Path(one) for one in sys.path if Path(one, 'mmpretrain').is_dir()]
    if not archive.is_file() or not sites:
        pytest.skip('needs the archive of Open-CD and the packages of requirements/opencd.txt')
    subprocess.run(['tar', '-xzf', archive, '-C', tmp_path, '--strip-components=1'], check=True)
    program = f"""
        import sys
        sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}, *{[str(site) for site in sites]!r}]
        from tfinet_mm.integrations.opencd import enable
        enable()
        import mmengine.registry, opencd.models, opencd.datasets, opencd.evaluation
        print(opencd.__file__, mmengine.registry.MODELS.get('opencd.LightCDNet').__name__)
    """
    # -S: no .pth file of the environment, which may enable Open-CD in its own way.
    done = subprocess.run(
        [sys.executable, '-S', '-W', 'ignore', '-c', textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f'{tmp_path}/opencd/__init__.py LightCDNet'
