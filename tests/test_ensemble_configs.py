"""Test that the members in each ensemble config fit, and that their checkpoints can be set."""

import re
from pathlib import Path

import pytest
from mmengine import Config
from mmengine.registry import DefaultScope

from tfinet_mm.models.members import member_config
from tfinet_mm.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[1] / 'configs'
ENSEMBLES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob('ensemble_*.py'))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def test_there_are_some():
    assert 'senseearth/ensemble_pspnet_hrnet40_hrnet18_lightweight.py' in ENSEMBLES


@pytest.mark.parametrize('name', ENSEMBLES)
def test_members_know_the_classes_of_the_data(name):
    cfg = Config.fromfile(ROOT / name)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build({**loader.dataset, 'lazy_init': True})
        for member in cfg.model.members:
            head = member_config(member.config).model.semantic_head
            assert head.num_classes == len(dataset.metainfo['semantic_classes']) - 1


@pytest.mark.parametrize('name', ENSEMBLES)
def test_checkpoints_can_be_set(name):
    """A training with a member's config leaves its last checkpoint where the ensemble looks."""
    cfg = Config.fromfile(ROOT / name)
    for member in cfg.model.members:
        folder = Path(member.checkpoint).parent
        assert folder == Path('work_dirs') / Path(member.config).stem
        epochs = Config.fromfile(member.config).train_cfg.max_epochs
        assert member.checkpoint == str(folder / f'epoch_{epochs}.pth')
    with pytest.raises(FileNotFoundError, match=r'model\.members\.0\.checkpoint=PATH'):
        MODELS.build(cfg.model)
    cfg.merge_from_dict({'model.members.0.checkpoint': 'other.pth'})
    with pytest.raises(FileNotFoundError, match=r'no checkpoint other\.pth'):
        MODELS.build(cfg.model)


def test_the_ensemble_of_the_docs(tmp_path):
    """Read the config that docs/tools.md shows, with its paths in the repository."""
    page = (ROOT.parent / 'docs' / 'tools.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    (shown,) = [block for block in blocks if 'SCDEnsemble' in block]
    path = tmp_path / 'shown.py'
    path.write_text(shown.replace("'configs/", f"'{ROOT.as_posix()}/"))
    cfg = Config.fromfile(path)
    assert set(cfg.model) == {'type', 'members'}
    for member in cfg.model.members:
        assert member_config(member.config).model.semantic_head.num_classes == 6
    with pytest.raises(FileNotFoundError, match=r'member 0 .* no checkpoint w40\.pth'):
        MODELS.build(cfg.model)
