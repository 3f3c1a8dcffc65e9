"""Test that the examples of docs/extending.md build, load and train as written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS as MMSEG_DATASETS
from mmseg.registry import MODELS as MMSEG_MODELS
from PIL import Image
from test_configs import make_sample

from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset
from tfinet_mm.registry import DATASETS, MODELS
from tfinet_mm.utils.config.loading import load_config

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'extending.md'
FILES = {
    block.split('\n', 1)[0].removeprefix('# '): block
    for block in re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)
}
OWN = {'backbone': 'PlainBackbone', 'neck': 'DifferenceAndMean', 'head': 'TwoLayerHead'}
DATASET = 'CoastDataset'
COVER = {0: (255, 255, 255), 1: (0, 0, 255), 2: (240, 220, 130), 3: (0, 128, 0), 4: (128, 0, 0)}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Make a folder with the repository's tools and configs and with the page's files."""
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    # A process imports a module, and registers its class, only once.
    for name in [name for name in sys.modules if name.partition('.')[0] == 'mine']:
        del sys.modules[name]
    for registry in (MMSEG_MODELS, MMSEG_DATASETS):
        for name in (*OWN.values(), DATASET):
            registry.module_dict.pop(name, None)


@pytest.fixture
def coast(project):
    """Write ten pairs of the example's data set, two of each beach, with labels as colours."""
    rng = np.random.default_rng(0)
    colours = np.array(list(COVER.values()), np.uint8)
    for beach in range(5):
        for part in range(2):
            changed = rng.random((64, 64)) < 0.3
            for year in ('2018', '2023'):
                label = np.where(changed, rng.integers(1, 5, (64, 64)), 0)
                picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                for folder, pixels in ((year, picture), (f'cover {year}', colours[label])):
                    path = project / 'data/coast' / folder / f'beach-{beach}_part-{part}.png'
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)
    return project


def train_a_step(cfg, samples):
    """Build the network and run forward and backward."""
    model = MODELS.build(cfg.model)
    data = model.data_preprocessor(pseudo_collate(samples), training=True)
    total, _ = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    assert torch.isfinite(total)
    gradients = [one.grad for one in model.parameters() if one.grad is not None]
    assert any(gradient.abs().sum() > 0 for gradient in gradients)
    return model


def test_every_file_belongs_to_an_example():
    parts = [*OWN, 'dataset']
    assert set(FILES) == {f'mine/{part}{end}.py' for part in parts for end in ('', '_config')}


@pytest.mark.parametrize('part', OWN)
def test_a_part_trains_a_step(project, part):
    cfg = load_config(project / 'mine' / f'{part}_config.py')
    plain = Config.fromfile(ROOT / 'configs/demo/tfinet_r18_synthetic.py')
    assert cfg.model != plain.model
    samples = [
        dict(
            inputs=torch.randint(0, 256, (6, 64, 64), dtype=torch.uint8),
            data_samples=make_sample(6, (64, 64)),
        )
        for _ in range(2)
    ]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = train_a_step(cfg, samples)
    used = {type(module).__name__ for module in model.modules()}
    assert OWN[part] in used


def test_the_data_set_is_read_and_trained_on(coast):
    cfg = load_config(coast / 'mine' / 'dataset_config.py')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        train = DATASETS.build(cfg.train_dataloader.dataset)
        held_out = DATASETS.build(cfg.val_dataloader.dataset)
        names = [
            [part.get_data_info(i)['sample_id'] for i in range(len(part))]
            for part in (train, held_out)
        ]
        train_a_step(cfg, [train[0], train[1]])
        sample = held_out[0]['data_samples']
    assert names[1] == ['beach-0_part-0', 'beach-0_part-1']
    assert len(names[0]) == 8
    assert not any('beach-0' in name for name in names[0])
    label = np.asarray(Image.open(coast / 'data/coast/cover 2018/beach-0_part-0.png'))
    for value, colour in COVER.items():
        there = torch.from_numpy((label == colour).all(axis=2))
        assert there.any()
        # Land cover is counted from 0, and 255 where nothing changed.
        assert ((sample.gt_sem_seg_from.data[0] == (value - 1 if value else 255)) == there).all()


@pytest.mark.slow
def test_the_commands_work(coast):
    """Run the commands of the page, on fewer data and for fewer epochs."""
    write_dataset('data/synthetic', 8, 2, SyntheticConfig(size=64))
    commands = re.findall(r'^PYTHONPATH=\. python (.*?) *(?:#.*)?$', PAGE.read_text(), re.MULTILINE)
    assert [command.split()[0] for command in commands] == [
        'tools/train.py',
        'tools/check_dataset.py',
        'tools/train.py',
    ]
    short = ['--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
    for command in commands:
        words = command.split()
        done = subprocess.run(
            [sys.executable, *words, *(short if 'train.py' in words[0] else [])],
            env={**os.environ, 'PYTHONPATH': '.', 'CUDA_VISIBLE_DEVICES': '-1'},
            capture_output=True,
            text=True,
            timeout=250,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert list(Path('work_dirs/backbone_config').glob('best_Score_*.pth'))
