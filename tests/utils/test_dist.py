"""One rank reads for all where it is asked to, in two processes over gloo."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tfinet_mm.utils.dist import each_rank_reads, one_rank_reads, read_once

SCRIPT = Path(__file__).with_name('two_ranks.py')


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """Return the results and the number of reads of two ranks; the second has no files."""
    folder = tmp_path_factory.mktemp('two_ranks')
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, folder, str(rank), '2'],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-3000:]
    return [json.loads((folder / f'rank{rank}.json').read_text()) for rank in range(2)]


def test_the_other_rank_reads_nothing(ranks):
    # Alone, it tries to: no rank waits for another then.
    assert ranks[1]['read'] == ['x.pth']
    assert ranks[1]['seen']['alone'] == 'FileNotFoundError: there is no checkpoint x.pth'
    assert ranks[0]['seen']['alone'] == 3
    assert ranks[0]['read'].count('x.pth') == 5


@pytest.mark.parametrize(
    ('way', 'value'),
    [
        ('shared', 3),
        ('member', 3),
        ('initial', 5),
        ('runner', 3),
        ('nested', ['meta', 'state_dict']),
        ('newest', 'epoch_1.pth'),
        ('after', [0, 1]),
    ],
)
def test_both_get_what_one_reads(ranks, way, value):
    assert [rank['seen'][way] for rank in ranks] == [value, value]


@pytest.mark.parametrize(
    ('way', 'error'),
    [
        ('nan', 'NotFiniteWeightsError: nan.pth: the weights linear.bias hold NaN'),
        ('runner nan', 'NotFiniteWeightsError: nan.pth: the weights linear.bias hold NaN'),
        ('missing', 'FileNotFoundError: there is no checkpoint missing.pth'),
        ('work', 'SceneError: a tile is damaged'),
    ],
)
def test_both_get_the_error(ranks, way, error):
    assert all(rank['seen'][way].startswith(error) for rank in ranks)


def test_one_process_just_reads():
    with one_rank_reads():
        assert read_once(lambda: 5) == 5
        with each_rank_reads():
            assert read_once(lambda: 6) == 6
    with pytest.raises(KeyError), one_rank_reads():
        read_once(lambda: {}['a'])
