"""Find the checkpoint that a run resumes from."""

import os

import pytest
import torch

from tfinet_mm.engine.resume import newest_checkpoint
from tfinet_mm.errors import DamagedCheckpointError, UntrustedCheckpointError


def save(path, **content):
    path.parent.mkdir(exist_ok=True)
    whole = {'meta': {}, 'message_hub': {}, 'state_dict': {}, 'optimizer': {}}
    torch.save(whole | content, path)
    return path


def test_the_furthest_trained_counts_not_the_name_or_date(tmp_path):
    late = save(tmp_path / 'epoch_10.pth')
    early = save(tmp_path / 'epoch_9.pth')
    os.utime(late, (1, 1))
    assert early.stat().st_mtime > late.stat().st_mtime
    save(tmp_path / 'best_Score_epoch_11.pth')
    (tmp_path / '.epoch_12.pth.part').write_bytes(b'half')
    assert newest_checkpoint(tmp_path) == late


def test_damaged_ones_are_passed_over(tmp_path):
    whole = save(tmp_path / 'iter_100.pth')
    (tmp_path / 'iter_300.pth').write_bytes(whole.read_bytes()[:200])
    (tmp_path / 'iter_200.pth').write_bytes(b'')
    (tmp_path / 'iter_400.pth').symlink_to('nowhere.pth')
    assert newest_checkpoint(tmp_path) == whole


def test_what_can_not_be_resumed_from_is_passed_over(tmp_path):
    whole = save(tmp_path / 'epoch_1.pth')
    torch.save({'state_dict': {}}, tmp_path / 'epoch_2.pth')
    weights_alone = {'meta': {}, 'message_hub': {}, 'state_dict': {}}
    torch.save(weights_alone, tmp_path / 'epoch_3.pth')
    torch.save([1], tmp_path / 'epoch_4.pth')
    save(tmp_path / 'epoch_5.pth', state_dict={'a': torch.tensor([1, float('nan')])})
    damaged = bytearray(save(tmp_path / 'epoch_6.pth', x=torch.arange(9999.0)).read_bytes())
    damaged[20_000] ^= 1
    (tmp_path / 'epoch_6.pth').write_bytes(damaged)
    assert newest_checkpoint(tmp_path) == whole
    assert newest_checkpoint(tmp_path, needed=('state_dict',)).name == 'epoch_3.pth'
    for path in tmp_path.glob('epoch_[12456].pth'):
        path.unlink()
    with pytest.raises(DamagedCheckpointError, match=r'epoch_3\.pth holds no optimizer'):
        newest_checkpoint(tmp_path)


def test_another_folder_for_checkpoints_is_followed(tmp_path):
    other = save(tmp_path / 'elsewhere' / 'epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text(str(other))
    save(tmp_path / 'epoch_2.pth')
    assert newest_checkpoint(tmp_path) == other
    # A note that was cut off, or names a missing file, does no harm.
    (tmp_path / 'last_checkpoint').write_text('')
    assert newest_checkpoint(tmp_path) == tmp_path / 'epoch_2.pth'
    (tmp_path / 'last_checkpoint').write_text('/nowhere/epoch_9.pth')
    assert newest_checkpoint(tmp_path) == tmp_path / 'epoch_2.pth'


def test_a_run_without_checkpoints(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / 'not yet') is None


def test_nothing_that_loads_is_an_error_not_a_fresh_start(tmp_path):
    for n in (1, 2):
        (tmp_path / f'epoch_{n}.pth').write_bytes(b'torn')
    with pytest.raises(DamagedCheckpointError, match=r'(?s)remove them.*epoch_2.*epoch_1'):
        newest_checkpoint(tmp_path)


def test_a_file_that_needs_trust_stops_the_search(tmp_path):
    save(tmp_path / 'epoch_1.pth')
    save(tmp_path / 'epoch_2.pth', extra=os.getcwd)
    with pytest.raises(UntrustedCheckpointError, match='getcwd'):
        newest_checkpoint(tmp_path)
