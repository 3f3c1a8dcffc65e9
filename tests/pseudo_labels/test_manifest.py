import hashlib
import subprocess

import pytest

from tfinet_mm.pseudo_labels.manifest import (
    content_hash,
    differences,
    file_hash,
    member_entries,
    read_manifest,
    write_manifest,
)


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
    assert not list(differences([entry], member_entries([moved])))
    for change in (
        dict(cfg_options={'model.depth': 34}),
        dict(weight=2),
    ):
        assert len(list(differences([entry], member_entries([{**member, **change}])))) == 1
    (tmp_path / 'a.pth').write_bytes(b'other')
    (message,) = differences([entry], member_entries([member]))
    assert message.startswith(f'[0] ({tmp_path}/a.pth).weights was ')


def test_an_address_stands_for_itself(member):
    address = 'https://example.org/a.pth'
    assert member_entries([{**member, 'checkpoint': address}])[0]['weights'] == address


def test_missing_files_are_named(member):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint nowhere\.pth'):
        member_entries([{**member, 'checkpoint': 'nowhere.pth'}])
    with pytest.raises(FileNotFoundError, match=r'no config nowhere\.py'):
        member_entries([{**member, 'config': 'nowhere.py'}])


def test_what_differs_is_said_one_by_one():
    found = dict(a=[1, 2], b=dict(c='x', name='n'), e=None)
    wanted = dict(a=[1, 3], b=dict(c='y', name='m'), d=0.5, e=[1])
    assert list(differences(found, wanted)) == [
        'a[1] was 2, is 3',
        "b.c was 'x', is 'y'",
        'd was None, is 0.5',
        'e was None, is [1]',
    ]
    members = [[dict(checkpoint=name)] * number for name, number in (('a.pth', 2), ('b.pth', 1))]
    assert list(differences(*(dict(members=one) for one in members))) == [
        'members was 2 (a.pth, a.pth), is 1 (b.pth)'
    ]
    long = dict(hash='f' * 64), dict(hash='0' * 64)
    assert len(next(differences(*long))) < 80


def test_the_order_of_keys_does_not_count():
    assert content_hash(dict(a=1, b=(1, 2))) == content_hash(dict(b=[1, 2], a=1))
    assert content_hash([1, 2]) != content_hash([2, 1])


def test_a_manifest_comes_back(tmp_path):
    assert read_manifest(tmp_path) is None
    manifest = dict(predictions=dict(method='vote', classes=['ä']), labels=dict(x=[0.1, None]))
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize('content', ['', '[]', '{"a": 1}', '3', 'null'])
def test_a_file_of_another_program_is_not_touched(tmp_path, content):
    (tmp_path / 'members.json').write_text(content)
    with pytest.raises(ValueError, match=r'members\.json is not what this package writes'):
        read_manifest(tmp_path)
