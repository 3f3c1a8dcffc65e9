"""Checkpoints from paths, downloads and MMEngine's names for models."""

import re
from importlib.util import find_spec

import pytest
import torch

from tfinet_mm.checkpoints.addresses import SCHEME, existing_checkpoint, read_checkpoint
from tfinet_mm.checkpoints.trust import TRUST_VARIABLE
from tfinet_mm.errors import (
    DamagedCheckpointError,
    MissingExtraError,
    NotFiniteWeightsError,
    UntrustedCheckpointError,
)


@pytest.fixture(autouse=True)
def distrust(monkeypatch):
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)


@pytest.mark.parametrize('address', ['https://', 'http://[::1/x.pth', 'http://host/'])
def test_addresses_without_a_file(address):
    with pytest.raises(FileNotFoundError, match=re.escape(f'{address} is no address of a check')):
        read_checkpoint(address)


@pytest.mark.skipif(find_spec('petrel_client') is not None, reason='its client is there')
def test_storage_whose_client_is_missing():
    with pytest.raises(MissingExtraError, match=r'petrel://a\.pth needs the client'):
        read_checkpoint('petrel://a.pth')


def test_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save({'state_dict': {'w': torch.ones(2)}}, 'a b.pth')
    for address in ('a b.pth', tmp_path / 'a b.pth', '~/a b.pth', f'{SCHEME}a b.pth'):
        assert read_checkpoint(address)['state_dict']['w'].tolist() == [1, 1]
    with pytest.raises(FileNotFoundError, match=r'there is no checkpoint nowhere\.pth'):
        read_checkpoint(f'{SCHEME}nowhere.pth')
    torch.save([1], 'list.pth')
    with pytest.raises(DamagedCheckpointError, match=r'list\.pth holds a list'):
        read_checkpoint('list.pth')
    torch.save({'w': torch.tensor([1, float('nan')])}, 'nan.pth')
    with pytest.raises(NotFiniteWeightsError, match=r'nan\.pth: the weights w hold NaN'):
        read_checkpoint('nan.pth')


def test_downloads(tmp_path, hostile, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    asked = []

    def download(url, target, progress):
        asked.append(url)
        if 'gone' in url:
            raise OSError('404')
        torch.save({'state_dict': {'w': torch.ones(2)}}, target)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    # What torch downloaded before is in the same place.
    cache = tmp_path / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    victim = hostile(cache / 'bad-0123abcd.pth')
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path / 'home'))
    (tmp_path / 'home').mkdir()
    (tmp_path / 'home' / 'open_mmlab.json').write_text(
        '{"test/bad": "https://example.org/bad-0123abcd.pth", "test/good": "https://example.org/good.pth",'
        ' "test/local": "local.pth"}'
    )
    hostile(tmp_path / 'home' / 'local.pth')
    address = 'https://example.org/bad-0123abcd.pth'
    for name in (address, 'open-mmlab://test/bad', 'openmmlab://test/local'):
        with pytest.raises(UntrustedCheckpointError):
            read_checkpoint(name)
    for name in ('https://example.org/good.pth', 'open-mmlab://test/good'):
        assert read_checkpoint(name)['state_dict']['w'].tolist() == [1, 1]
    assert asked == ['https://example.org/good.pth']
    with pytest.raises(FileNotFoundError, match=r'http://example\.org/gone\.pth can not be down'):
        read_checkpoint('http://example.org/gone.pth')
    names = sorted(path.name for path in cache.iterdir())
    assert names[0] == 'bad-0123abcd.pth'
    assert re.fullmatch(r'good-[0-9a-f]{12}\.pth', names[1])
    assert len(names) == 2
    with pytest.raises(FileNotFoundError, match='no pretrained model'):
        read_checkpoint('open-mmlab://msra/hrnetv2_w19')
    with pytest.raises(UntrustedCheckpointError, match='pavi://x'):
        read_checkpoint('pavi://x')
    assert not victim.exists()


def test_addresses_of_one_name_are_different_files(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))

    def download(url, target, progress):
        torch.save({'w': torch.full((1,), float(url[-len('1/model.pth')]))}, target)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    for number in (1, 2, 1):
        address = f'https://example.org/{number}/model.pth'
        assert read_checkpoint(address)['w'].item() == number


def test_a_classifier_gives_its_backbone(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(
        torch.hub,
        'download_url_to_file',
        lambda url, target, progress: torch.save(
            {'state_dict': {'backbone.w': torch.ones(1), 'head.w': torch.ones(1)}}, target
        ),
    )
    assert list(read_checkpoint('mmcls://vgg11')['state_dict']) == ['w']


def test_checkpoints_are_looked_for_and_addresses_are_not(tmp_path):
    path = str(tmp_path / 'x.pth')
    with pytest.raises(FileNotFoundError, match=r'x\.pth'):
        existing_checkpoint(path)
    (tmp_path / 'x.pth').touch()
    assert existing_checkpoint(path) == path
    assert existing_checkpoint('open-mmlab://x') == 'open-mmlab://x'
