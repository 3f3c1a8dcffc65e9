"""Test the wheel without a checkout: its command, configs, tools and weights."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
BUILT = ('pyproject.toml', 'setup.py', 'README.md', 'model-index.yml', 'configs', 'tools')

pytestmark = pytest.mark.slow
pytest.importorskip('setuptools')


@pytest.fixture(scope='module')
def tfinet(tmp_path_factory):
    """Return a function that runs the installed wheel's command far from the checkout."""
    if not (ROOT / 'setup.py').is_file():
        pytest.skip('runs in a checkout')
    source, place = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('place')
    unwanted = shutil.ignore_patterns('__pycache__')
    for name in (*BUILT, 'tfinet_mm'):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet']
    offline = ['--no-deps', '--no-index']
    for words in (
        ['wheel', '--no-build-isolation', *offline, '--wheel-dir', str(place), str(source)],
        ['install', *offline, '--target', str(place / 'site'), '--find-links', str(place)],
    ):
        words += ['tfinet-mm'] if words[0] == 'install' else []
        done = subprocess.run([*pip, *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    def run(*words):
        # First on the path, since the environment may have the checkout installed.
        environment = os.environ | dict(PYTHONPATH=str(place / 'site'))
        command = [sys.executable, '-P', '-c', 'from tfinet_mm.cli import main; main()', *words]
        done = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    where = subprocess.run(
        [sys.executable, '-P', '-c', 'import tfinet_mm; print(tfinet_mm.__file__)'],
        cwd=place,
        env=os.environ | dict(PYTHONPATH=str(place / 'site')),
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(place / 'site'))
    run.place = place
    return run


def test_two_pictures_become_a_map(tfinet):
    rng = np.random.default_rng(0)
    for name in ('before', 'after'):
        image = rng.integers(0, 256, (72, 96, 3)).astype(np.uint8)
        Image.fromarray(image).save(tfinet.place / f'{name}.png')
    tfinet('predict', 'before.png', 'after.png', '--out', 'maps')
    made = np.array(Image.open(tfinet.place / 'maps' / 'change_prob' / 'before.png'))
    assert made.shape == (72, 96)


def test_a_recipe_finds_its_tools(tfinet):
    (tfinet.place / 'network.py').write_text(
        "_base_ = 'tfinet_mm::tfinet_lite0_fpn_synthetic.py'\n"
    )
    (tfinet.place / 'recipe.py').write_text("members = ['network.py']\n")
    printed = tfinet('recipe', 'recipe.py', '--dry-run')
    (tool,) = set(re.findall(r'python\S* (\S+/train\.py)', printed))
    assert (tfinet.place / tool).is_file()


def test_a_config_of_the_package_trains(tfinet):
    tfinet('generate', 'data/synthetic', '--train', '2', '--val', '1', '--size', '64')
    values = [
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'train_dataloader.batch_size=2',
        *(f'{part}_dataloader.num_workers=0' for part in ('train', 'val')),
        *(f'{part}_dataloader.persistent_workers=False' for part in ('train', 'val')),
    ]
    config = tfinet.place / 'mine.py'
    config.write_text("_base_ = 'tfinet_mm::tfinet_lite0_fpn_synthetic.py'\n")
    printed = tfinet('train', str(config), '--work-dir', 'w', '--cfg-options', *values)
    assert 'Logs and checkpoints are in w' in printed
    assert list((tfinet.place / 'w').glob('best_Score_*.pth'))
