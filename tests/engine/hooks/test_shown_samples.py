"""Test the choice of the samples that are shown while training."""

import pytest
from mmengine.dataset import BaseDataset, ConcatDataset

from tfinet_mm.engine.hooks.shown_samples import sample_key, shown_samples, spread_indices


@pytest.mark.parametrize('size', [1, 2, 7, 8, 9, 100, 1693])
@pytest.mark.parametrize('number', [1, 2, 8, 20])
def test_one_of_every_part(size, number):
    indices = spread_indices(size, number)
    assert len(indices) == min(size, number)
    part = size / len(indices)
    for index, place in enumerate(indices):
        assert int(index * part) <= place < (index + 1) * part


def test_every_nth_and_none():
    assert spread_indices(10, 8, 3) == [0, 3, 6, 9]
    assert (
        spread_indices(10, 8, 0)
        == spread_indices(10, 0)
        == spread_indices(0, 8)
        == spread_indices(0, 8, 3)
        == []
    )


class Pairs(BaseDataset):
    def load_data_list(self):
        names = ('a', 'b', 'sub/a')
        return [
            dict(sample_id=n, img_path=[f'{self.data_root}/1/{n}', f'{self.data_root}/2/{n}'])
            for n in names
        ]


def test_names_in_common_are_numbered():
    both = ConcatDataset([Pairs(data_root='x'), Pairs(data_root='y')])
    assert shown_samples(both, [0, 2, 3]) == {
        ('a', 'x/1/a'): '',
        ('sub/a', 'x/1/sub/a'): '',
        ('a', 'y/1/a'): '~2',
    }
    assert sample_key(both[3]) == ('a', 'y/1/a')


def test_data_sets_that_do_not_tell_their_samples():
    assert shown_samples([None] * 5, [1, 3]) == {1: '', 3: ''}
    assert sample_key({'img_path': 'a.png'}) == (None, 'a.png')
    assert sample_key({}) == (None, None)
