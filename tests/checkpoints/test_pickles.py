"""The restricted unpickler is ours alone, and safe in threads."""

import argparse
import io
from concurrent.futures import ThreadPoolExecutor
from pickle import UnpicklingError

import pytest
import torch
from mmengine.logging import HistoryBuffer

from tfinet_mm.checkpoints import pickles
from tfinet_mm.checkpoints.pickles import FORCE_VARIABLE, load_plain


def stored(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.fixture
def history():
    buffer = HistoryBuffer()
    for value in (3.0, 1.0, 2.0):
        buffer.update(value)
    return stored(dict(scalars=buffer, weights=torch.arange(4.0)))


def read(content):
    return load_plain(io.BytesIO(content), 'cpu')


@pytest.fixture(params=['private', 'forced', 'without a private one'])
def way(request, monkeypatch):
    """The three ways to read: the usual one, with torch's own list, and the fallback."""
    monkeypatch.delenv(FORCE_VARIABLE, raising=False)
    if request.param == 'forced':
        monkeypatch.setenv(FORCE_VARIABLE, '1')
    elif request.param != 'private':
        monkeypatch.setattr(pickles, '_private_unpickler', lambda: None)
    return request.param


def test_what_mmengine_stores_is_read(way, history):
    before = set(torch.serialization.get_safe_globals())
    loaded = read(history)
    assert loaded['scalars'].statistics('max') == 3
    assert loaded['weights'].tolist() == [0, 1, 2, 3]
    assert set(torch.serialization.get_safe_globals()) == before


def test_code_is_refused(way, touch, tmp_path):
    for value in (touch(tmp_path / 'ran'), argparse.Namespace(a=1), torch.nn.Linear(1, 1)):
        with pytest.raises(UnpicklingError):
            read(stored(dict(x=value)))
    assert not (tmp_path / 'ran').exists()


def test_reads_in_threads_do_not_meet(way, history):
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(read, [history] * 180))
    assert all(result['scalars'].statistics('min') == 1 for result in results)


def test_what_others_allow_in_the_process_is_not_allowed_here(monkeypatch):
    monkeypatch.delenv(FORCE_VARIABLE, raising=False)
    content = stored(dict(x=argparse.Namespace(a=1)))
    with torch.serialization.safe_globals([argparse.Namespace, getattr]):
        assert torch.load(io.BytesIO(content), weights_only=True)['x'].a == 1
        with pytest.raises(UnpicklingError, match='Namespace'):
            read(content)
        assert argparse.Namespace in torch.serialization.get_safe_globals()


def test_the_list_of_others_stays_as_it_was_where_torch_is_forced(monkeypatch, history):
    monkeypatch.setenv(FORCE_VARIABLE, '1')
    with torch.serialization.safe_globals([HistoryBuffer]):
        read(history)
        assert HistoryBuffer in torch.serialization.get_safe_globals()
    assert HistoryBuffer not in torch.serialization.get_safe_globals()
