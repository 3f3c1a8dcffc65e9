"""A recipe of stand-in tools that take no time and note what they were called with."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch

from tfinet_mm.recipe import plan
from tfinet_mm.recipe.config import load_recipe
from tfinet_mm.recipe.plan import make_plan

ROOT = Path(__file__).parents[2]

TRAIN = """
import pathlib, shutil, sys, time
words = sys.argv[1:]
folder = pathlib.Path(words[words.index('--work-dir') + 1])
print('training in', folder)
resumed = ['resumed'] if (folder / 'epoch_1.pth').exists() else []
with open('calls', 'a') as file:
    print('train', folder.name, *resumed, file=file)
folder.mkdir(parents=True, exist_ok=True)
shutil.copy('checkpoint.pth', folder / 'epoch_1.pth')
if pathlib.Path('wait').exists():
    pathlib.Path('waiting').touch()
    time.sleep(600)
if pathlib.Path('fail').exists():
    print('out of memory', file=sys.stderr)
    sys.exit(3)
shutil.copy('checkpoint.pth', folder / 'best_Score_epoch_1.pth')
"""
TEST = """
import json, pathlib, sys
words = sys.argv[1:]
file = pathlib.Path(words[words.index('--json') + 1])
file.parent.mkdir(parents=True, exist_ok=True)
scores = dict(Score=30.0 + ('--tta' in words), SeK=1.0, mIoU=2.0, Fscd=3.0, OA=4.0)
file.write_text(json.dumps(dict(scores=scores)))
with open('calls', 'a') as calls:
    print(*file.parts[-3:-1], file=calls)
"""
PSEUDO = """
import pathlib, sys
words = sys.argv[1:]
out = pathlib.Path(words[words.index('--out') + 1])
for checkpoint in words[1 : words.index('--out') : 2]:
    assert pathlib.Path(checkpoint).is_file(), checkpoint
out.mkdir(parents=True, exist_ok=True)
(out / 'report.json').write_text('{"filled": 0.5}')
with open('calls', 'a') as calls:
    print('pseudo', file=calls)
"""
MEMBER = (
    'model = dict(backbone=dict(width={width}))\ntrain_dataloader = dict(dataset=dict(pipeline=[]))'
)
PSEUDO_LOADER = "dict(type='tfinet_mm.LoadPseudoLabels', data_root='elsewhere')"
AGAIN = f"train_dataloader = dict(dataset=dict(pipeline=[dict(type='A'), {PSEUDO_LOADER}]))"
RECIPE = """
prepare = [dict(name='data', command=['sh', '-c', 'echo data made; touch data'], result='data')]
members = ['one.py', 'two.py']
pseudo_labels = dict(method='vote', tta=True)
retrain = ['again.py']
"""
STAGES = [
    'prepare/data',
    *('train/one', 'test/one', 'test_tta/one', 'train/two', 'test/two', 'test_tta/two'),
    *('test/members', 'test_tta/members', 'pseudo_labels'),
    *('retrain/again', 'test/again', 'test_tta/again', 'test/retrained', 'test_tta/retrained'),
]


def save_checkpoint(path: Path, score: float | None = None, **meta) -> None:
    runtime = {} if score is None else {'best_score': score}
    checkpoint = {'state_dict': {}, 'meta': meta, 'message_hub': {'runtime_info': runtime}}
    torch.save(checkpoint, path)


class Folder:
    """A folder with a recipe, and what running it there does."""

    def __init__(self, path: Path, capfd) -> None:
        self.path, self.capfd = path, capfd

    @property
    def calls(self) -> list[str]:
        """Stages the stand-ins were called for since the last look."""
        file = self.path / 'calls'
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def plan(self, gpus=0, seed=None, work_dir='work'):
        return make_plan(load_recipe('recipe.py'), work_dir, gpus, seed)

    def run(self, *options: str, recipe='recipe.py', work_dir='work', code=0) -> str:
        """Run tools/recipe.py, and return what it and its commands print."""
        self.capfd.readouterr()
        try:
            assert TOOL.main([str(recipe), '--work-dir', str(work_dir), *options]) == code
        finally:
            captured = self.capfd.readouterr()
            self.printed = captured.out + captured.err
        return self.printed

    def state(self, stage: str) -> dict:
        return json.loads((self.path / 'work' / 'stages' / stage / 'state.json').read_text())


def load_tool():
    spec = importlib.util.spec_from_file_location('tool_recipe', ROOT / 'tools' / 'recipe.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()


def fill(path: Path) -> None:
    """Write a recipe, its configs and stand-ins for the tools into a folder."""
    tools = path / 'checkout' / 'tools'
    tools.mkdir(parents=True)
    for name, source in (('train', TRAIN), ('test', TEST), ('pseudo_label', PSEUDO)):
        (tools / f'{name}.py').write_text(source)
    save_checkpoint(path / 'checkpoint.pth', 30.5)
    for name, text in (
        ('recipe', RECIPE),
        ('one', MEMBER.format(width=1)),
        ('two', MEMBER.format(width=2)),
        ('again', AGAIN),
    ):
        (path / f'{name}.py').write_text(text)


@pytest.fixture
def folder(tmp_path, monkeypatch, capfd):
    """A recipe that hasn't begun."""
    fill(tmp_path)
    monkeypatch.setattr(plan, 'TOOLS', tmp_path / 'checkout' / 'tools')
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path, capfd)


@pytest.fixture(scope='session')
def done_before(tmp_path_factory):
    """A recipe that was carried out, and what was printed."""
    pytest.importorskip('snakemake')
    path = tmp_path_factory.mktemp('done')
    fill(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, 'TOOLS', path / 'checkout' / 'tools')
        patch.chdir(path)
        assert TOOL.main(['recipe.py', '--work-dir', 'work']) == 0
    return path


@pytest.fixture
def done(done_before, tmp_path, monkeypatch, capfd):
    """A copy of a recipe that was carried out."""
    shutil.copytree(done_before, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.setattr(plan, 'TOOLS', tmp_path / 'checkout' / 'tools')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'calls').unlink()
    return Folder(tmp_path, capfd)


@pytest.fixture
def stages():
    """Names of the recipe's stages, in their order."""
    return STAGES


@pytest.fixture
def checkpoint():
    """A function that writes a checkpoint with a best score."""
    return save_checkpoint
