"""Every command that README and docs show works in a fresh environment with the wheel in it."""

import os
import shutil
import signal
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from documented import pages

import tfinet_mm

ROOT = pages.ROOT
HERE = Path(__file__).parent
# What of a checkout the reader's commands are run in; its package is in the environment alone.
CLONED = ('configs', 'tools', 'projects', 'docs', 'requirements', 'Makefile', 'pyproject.toml')
CLONED += ('setup.py', 'README.md', 'model-index.yml')
BUILT = ('configs', 'tools', 'tfinet_mm', 'pyproject.toml', 'setup.py', 'README.md')
BUILT += ('model-index.yml',)
# What the commands are is told to the server. What a page has written into a folder is in there
# once the folder is made.
BEFORE = """set -eo pipefail
trap 'export COMMANDS_LINE=$BASH_COMMAND' DEBUG
mkdir() { command mkdir "$@"; [ ! -d ../written ] || cp -r ../written/. .; }
"""
SCENES = """
python tools/dataset/make_scene.py scene --seed 1
cp scene/before.tif scene/after.tif .
cp before.tif 2015.tif
cp before.tif 2018.tif
cp after.tif 2023.tif
cp -r scene/labels labels
python tools/predict.py tiny.py tiny.pth 2018.tif 2023.tif --out maps
python tools/test.py tiny.py tiny.pth --json one.json --out pred
cp one.json other.json
cp -r data/tiny/val/label1 data/tiny/val/label2 labels
mkdir other_pred
cp -r pred/label1 other_pred/label2
cp -r pred/label2 other_pred/label1
"""
MAKE = '#!/bin/sh\nexec {make} --dry-run --no-print-directory "$@" >/dev/null\n'
SRUN = '#!/bin/sh\nwhile case "$1" in -*) ;; *) false ;; esac; do shift; done\nexec "$@"\n'
GIT = """#!/bin/sh
if [ "$1" = clone ]; then
    mkdir "$3"
    cp -r Makefile pyproject.toml setup.py requirements .venv "$3"
    exit
fi
if [ "$1" = tag ]; then
    {git} init --quiet --initial-branch main
    {git} commit --quiet --allow-empty --message begin
    {git} init --quiet --bare .git/origin
    {git} remote add origin .git/origin
fi
exec {git} "$@"
"""
WITH_BLOCKS = [page for page in pages.pages() if pages.blocks(page)]


def test_pages_are_found():
    names = {page.relative_to(ROOT).as_posix() for page in WITH_BLOCKS}
    assert names >= {'README.md', 'CONTRIBUTING.md', 'projects/pretrain/README.md', 'docs/tools.md'}
    assert len(list(pages.lines())) > 100


@pytest.mark.parametrize(
    ('written', 'filled'),
    [
        ('x.sh CONFIG GPUS [CHECKPOINT] [options of x]  # all', 'x.sh tiny.py 2 tiny.pth  # all'),
        ('CONFIG CHECKPOINT [CONFIG CHECKPOINT ...] --out DIR', 'tiny.py tiny.pth --out folder'),
        ('GPUS=8 x "[flip]" $seed [--json FILE]', 'GPUS=8 x "[flip]" $seed --json file.json'),
        ('pip install dist/a-X.Y.Z.whl  # for your CUDA', 'dist/a-1.2.whl  # for your CUDA'),
    ],
)
def test_words_of_the_reader_are_filled_in(written, filled):
    assert filled in pages.filled_in(written, '1.2')


@pytest.mark.parametrize('page', WITH_BLOCKS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_word_in_capitals_has_a_value(page):
    for block in pages.blocks(page):
        assert pages.filled_in(block, '1.2')


def test_a_word_without_a_value_is_named():
    with pytest.raises(ValueError, match='SOMETHING'):
        pages.filled_in('python tools/test.py SOMETHING', '1.2')


def test_short_runs_keep_the_values_of_the_page():
    words = pages.shortened('tools/train.py', ['a.py', '--cfg-options', 'x=1', '--amp'])
    assert words[:3] == ['a.py', '--cfg-options', 'x=1']
    assert words[-1] == '--amp'
    assert 'train_cfg.max_epochs=1' in words


@pytest.mark.parametrize('table', ['PARSED_ONLY', 'LEFT_OUT'])
def test_no_reason_is_stale(table):
    written = [line for _, line in pages.lines()]
    for pattern, why in getattr(pages, table).items():
        assert any(pages.reason({pattern: why}, line) for line in written), pattern
        for word in why.replace(':', ' ').split():
            assert not word.startswith('tests/') or (ROOT / word).is_file(), why


def test_no_short_option_is_stale():
    written = ' '.join(line for _, line in pages.lines())
    assert [tool for tool in pages.SHORT if tool not in written] == []


def _run(words, **options):
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280, **options
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


class Reader:
    """An environment with the wheel, a checkout without the package, and data."""

    def __init__(self, folder):
        self.folder = folder
        self.clone, self.bin = folder / 'clone', folder / 'bin'
        self.python = folder / 'environment' / 'bin' / 'python'
        self.socket = str(folder / 'socket')
        self._server = None
        self._install()
        self._clone()
        self._stand_ins()

    def environment(self):
        """Return the variables of the reader's shell."""
        kept = ('PATH', 'LANG', 'LC_ALL', 'TMPDIR', 'LD_LIBRARY_PATH')
        return {name: os.environ[name] for name in kept if name in os.environ} | dict(
            HOME=str(self.folder),
            OMP_NUM_THREADS='1',
            CUDA_VISIBLE_DEVICES='-1',
            COMMANDS_SERVER=self.socket,
            COMMANDS_LINE='',
            **{
                f'GIT_{who}_{what}': 'reader'
                for who in ('AUTHOR', 'COMMITTER')
                for what in ('NAME', 'EMAIL')
            },
        )

    def _install(self):
        """Build the wheel of this checkout, and install it into an environment of its own."""
        source, wheels = self.folder / 'source', self.folder / 'dist'
        _copy(BUILT, source)
        offline = ['--no-deps', '--no-index', '--quiet', '--disable-pip-version-check']
        pip = [sys.executable, '-m', 'pip']
        _run([*pip, 'wheel', '--no-build-isolation', *offline, '-w', str(wheels), str(source)])
        venv.create(self.folder / 'environment', symlinks=True)
        pip += ['--python', str(self.python)]
        _run([*pip, 'install', *offline, *map(str, wheels.glob('*.whl'))])
        # Dependencies are those of the Python that runs the tests, so nothing is downloaded.
        (own,) = self.folder.glob('environment/lib/python*/site-packages')
        folders = [path for path in sys.path if path.endswith(('site-packages', 'dist-packages'))]
        (own / 'dependencies.pth').write_text('\n'.join([*folders, *site.getsitepackages()]))
        shown = _run([self.python, '-P', '-c', 'import tfinet_mm; print(tfinet_mm.__file__)'])
        assert shown.startswith(str(own))

    def _clone(self):
        _copy(CLONED, self.clone)
        (self.clone / '.venv' / 'bin').mkdir(parents=True)
        # The stand-ins stay in front.
        (self.clone / '.venv' / 'bin' / 'activate').touch()
        (self.clone / 'dist').symlink_to(self.folder / 'dist')
        environment = self.environment() | dict(PYTHONPATH=str(HERE.parent))
        _run([self.python, str(HERE / 'prepare.py')], cwd=self.clone, env=environment)

    def _stand_ins(self):
        """Put programs in front that the server carries out, or that have no effect."""
        self.bin.mkdir()
        scripts = [path.name for path in self.python.parent.glob('tfinet*')]
        for name in (
            'python',
            'python3',
            'pip',
            'pre-commit',
            'tensorboard',
            *scripts,
            'curl',
            'docker',
            'gdal_translate',
            'gdalbuildvrt',
            'qgis_process',
        ):
            shebang = f'#!{sys.executable} -IS\n'
            self._write(name, shebang + (HERE / 'stand_in.py').read_text())
        self._write('make', MAKE.format(make=shutil.which('make')))
        self._write('git', GIT.format(git=shutil.which('git')))
        self._write('srun', SRUN)

    def _write(self, name, text):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def start(self):
        """Start the server, and make what commands of the pages begin with."""
        words = [self.python, '-W', 'ignore', HERE / 'server.py', self.socket, self.folder / 'dist']
        self._server = subprocess.Popen(
            words,
            env=self.environment() | dict(PYTHONPATH=str(HERE.parent)),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._server.stdout.readline() == b'ready\n'
        self.carry_out(SCENES, self.clone)

    def close(self):
        """End the server, and with it what it has started."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()

    def carry_out(self, block, folder):
        """Let bash carry out a block, and return what it printed."""
        environment = self.environment()
        environment['PATH'] = f'{self.bin}{os.pathsep}{environment["PATH"]}'
        return _run(['bash', '-c', BEFORE + block], cwd=folder, env=environment)


def _copy(names, target):
    target.mkdir()
    unwanted = shutil.ignore_patterns('__pycache__', '_build', 'work_dirs')
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, target / name)


@pytest.fixture(scope='module')
def reader(tmp_path_factory):
    """The environment and the data, made once."""
    for needed in ('setuptools', 'rasterio', 'jinja2', 'plotly', 'snakemake', 'tensorboard'):
        pytest.importorskip(needed)
    if any(shutil.which(name) is None for name in ('bash', 'make', 'git')):
        pytest.skip('needs bash, make and git')
    if not (ROOT / 'setup.py').is_file():
        pytest.skip('runs in a checkout')
    made = Reader(tmp_path_factory.mktemp('reader'))
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.slow
@pytest.mark.parametrize('page', WITH_BLOCKS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_a_page(reader, page, tmp_path):
    """One after the other, in a folder of the page's own."""
    folder = tmp_path / 'clone'
    shutil.copytree(reader.clone, folder, symlinks=True)
    for name, text in pages.files(page).items():
        written = tmp_path / 'written' / name
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(text)
    for block in pages.blocks(page):
        reader.carry_out(pages.filled_in(block, tfinet_mm.__version__), folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('command', 'message'),
    [
        ('python tools/train.py CONFIG --no-such-option', 'unrecognized arguments'),
        ('tools/dist_train.sh CONFIG GPUS --no-such-option', 'unrecognized arguments'),
        ('tools/dist_train.sh CONFIG GPUS --cfg-options train_cfg.max_epoch=1', 'max_epoch'),
        ('python tools/test.py configs/nowhere.py CHECKPOINT', 'nowhere.py'),
        ('tools/slurm_train.sh PARTITION JOB_NAME CONFIG work --sead 1', 'unrecognized arguments'),
        ('tfinet tran CONFIG', 'did you mean train'),
        ('tfinet-map BEFORE AFTER', 'command not found'),
        ('make demonstration', 'No rule to make target'),
        ('pip install "tfinet-mm[gpu]"', 'does not provide the extra'),
        ('pip install "mmcv==2.2.0"', 'what the package needs'),
    ],
)
def test_a_command_that_is_wrong_fails(reader, command, message):
    with pytest.raises(AssertionError, match=message):
        reader.carry_out(pages.filled_in(command, tfinet_mm.__version__), reader.clone)
