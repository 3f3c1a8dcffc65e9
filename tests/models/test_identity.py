import hashlib
import subprocess

import pytest

from tfinet_mm.models.identity import member_entries
from tfinet_mm.utils.fingerprints import ORIGIN, file_hash
from tfinet_mm.utils.manifest import RunManifest


@pytest.fixture
def member(tmp_path):
    (tmp_path / 'a.py').write_text("model = dict(type='X', depth=18)\nmax_epochs = 3\n")
    (tmp_path / 'a.pth').write_bytes(b'weights')
    return dict(config=str(tmp_path / 'a.py'), checkpoint=str(tmp_path / 'a.pth'))


def test_a_file_has_the_hash_that_sha256sum_prints(tmp_path):
    path = tmp_path / 'a b'
    path.write_bytes(bytes(range(256)) * 40000)
    printed = subprocess.run(['sha256sum', path], capture_output=True, text=True, check=True)
    assert file_hash(path) == printed.stdout.split()[0]


def test_a_member_is_its_network_and_its_weights(tmp_path, member):
    (entry,) = member_entries([member])
    assert entry['name'] == 'a'
    assert entry['weight'] == 1.0
    assert entry['weights'] == hashlib.sha256(b'weights').hexdigest()
    # Elsewhere, and with what has no part in predicting, it is the same one.
    (tmp_path / 'b.py').write_text("model = dict(depth=18, type='X')\nmax_epochs = 4\n")
    (tmp_path / 'b.pth').write_bytes(b'weights')
    moved = dict(config=str(tmp_path / 'b.py'), checkpoint=str(tmp_path / 'b.pth'))
    differences = RunManifest(tmp_path, 'x', informative=ORIGIN).differences
    assert differences([entry], member_entries([moved])) == []
    for change in (
        dict(cfg_options={'model.depth': 34}),
        dict(weight=2),
    ):
        assert len(differences([entry], member_entries([{**member, **change}]))) == 1
    (tmp_path / 'a.pth').write_bytes(b'other')
    (change,) = differences([entry], member_entries([member]))
    assert change.field == f'[0] ({tmp_path}/a.pth).weights'


def test_an_address_stands_for_itself(member):
    address = 'https://example.org/a.pth'
    assert member_entries([{**member, 'checkpoint': address}])[0]['weights'] == address


def test_missing_files_are_named(member):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint nowhere\.pth'):
        member_entries([{**member, 'checkpoint': 'nowhere.pth'}])
    with pytest.raises(FileNotFoundError, match=r'no config nowhere\.py'):
        member_entries([{**member, 'config': 'nowhere.py'}])
