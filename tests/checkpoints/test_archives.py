"""Test that the kind of a file is recognised, and that changed bytes are found."""

import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from tfinet_mm.checkpoints.archives import check_archive
from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.errors import DamagedCheckpointError


def saved():
    buffer = io.BytesIO()
    torch.save(dict(w=torch.arange(1000.0), v=torch.ones(10)), buffer)
    return buffer.getvalue()


def check(content):
    check_archive(io.BytesIO(content), 'here.pth')


def in_memory(write):
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def tar(buffer):
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        archive.add(__file__, 'storages')


def zipped(buffer, *names):
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name in names:
            archive.writestr(name, 'x')


@pytest.mark.parametrize(
    ('content', 'kind'),
    [
        (in_memory(tar), 'tar archive'),
        (in_memory(lambda file: zipped(file, 'a.txt')), 'zip archive of something else'),
        (in_memory(lambda file: zipped(file, 'd/a.txt', 'd/version')), 'zip archive of something'),
        (in_memory(lambda file: np.savez(file, a=np.ones(3))), 'zip archive of something else'),
        (
            in_memory(lambda file: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)),
            'TorchScript archive',
        ),
        (struct.pack('<Q', 2) + b'{}', 'safetensors file'),
    ],
)
def test_files_of_other_kinds_are_named(content, kind):
    with pytest.raises(DamagedCheckpointError, match=rf'here\.pth is a {kind}'):
        check(content)


def test_every_changed_byte_of_the_contents_is_noticed():
    content = saved()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [entry for entry in archive.infolist() if entry.file_size > 30]
    for entry in entries:
        local = content[entry.header_offset :]
        name, extra = struct.unpack('<HH', local[26:30])
        start = entry.header_offset + 30 + name + extra
        for position in (start, start + entry.file_size // 2, start + entry.file_size - 1):
            changed = bytearray(content)
            changed[position] ^= 1
            with pytest.raises(DamagedCheckpointError, match=r'here\.pth.*CRC'):
                check(bytes(changed))
    check(content)


def test_contents_marked_as_a_folder_are_not_read_from_memory():
    content = bytearray(saved())
    entry = content.rfind(b'archive/data/0') - 46
    assert content[entry : entry + 4] == b'PK\x01\x02'
    content[entry + 38] |= 0x10
    with pytest.raises(DamagedCheckpointError, match=r'data/0 is marked as a folder'):
        check(bytes(content))


@pytest.mark.parametrize('length', [1, 8, 300])
def test_random_bytes_are_noticed_or_do_no_harm(length):
    content = saved()
    for seed in range(100):
        rng = np.random.default_rng(seed)
        start = int(rng.integers(len(content)))
        changed = content[:start] + rng.bytes(length) + content[start + length :]
        try:
            check(changed[: len(content)])
        except DamagedCheckpointError:
            continue
        try:
            loaded = load_checkpoint_file(io.BytesIO(changed[: len(content)]))
        except DamagedCheckpointError:
            continue
        assert torch.equal(loaded['w'], torch.arange(1000.0))
        assert torch.equal(loaded['v'], torch.ones(10))


@pytest.mark.parametrize('share', [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_off(share):
    content = saved()
    with pytest.raises(DamagedCheckpointError, match=r'here\.pth is cut off'):
        check(content[: int(len(content) * share)])


def test_valid_files_pass(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        without_sums = saved()
    finally:
        torch.serialization.set_crc32_options(True)
    check(without_sums)
    for name in ('a b.pth', 'ünï 日本.pth', 'x.safetensors'):
        torch.save(dict(w=torch.ones(3)), tmp_path / name)
        with open(tmp_path / name, 'rb') as file:
            check_archive(file, name)
            assert file.tell() == 0
    torch.save(dict(w=torch.ones(3)), tmp_path / 'old', _use_new_zipfile_serialization=False)
    check((tmp_path / 'old').read_bytes())
