import getpass
import os

import pytest

from tfinet_mm.utils.compiler import keep_caches_apart


@pytest.mark.parametrize('stated', [None, '/elsewhere/cache'])
def test_functions_of_fewer_instructions_are_kept_apart(stated, monkeypatch, tmp_path):
    """Torch would take those of a run without the limit, which compute nonsense under it."""
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    monkeypatch.delenv('TORCHINDUCTOR_CACHE_DIR', raising=False)
    monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
    if stated:
        monkeypatch.setenv('TORCHINDUCTOR_CACHE_DIR', stated)
    keep_caches_apart()
    assert os.environ.get('TORCHINDUCTOR_CACHE_DIR') == stated
    monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', 'AVX2')
    expected = f'{stated or tmp_path / f"torchinductor_{getpass.getuser()}"}_AVX2'
    for _ in range(2):
        keep_caches_apart()
        assert os.environ['TORCHINDUCTOR_CACHE_DIR'] == expected
