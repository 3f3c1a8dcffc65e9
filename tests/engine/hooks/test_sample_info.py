from types import SimpleNamespace

import pytest
from mmseg.structures import SegDataSample

from tfinet_mm.engine.hooks import sample_info


def dataset(*names):
    """Stand in for a data set, with its length and the names of its sample_info."""

    class Named:
        def __len__(self):
            return len(names)

        def get_data_info(self, index):
            return dict(sample_id=names[index])

    return Named()


def test_places_of_two_ranks_interleave(monkeypatch):
    """Three samples on two ranks: the second of rank 1 lies beyond the last and fills it up."""
    found = []
    for rank in (0, 1):
        monkeypatch.setattr(sample_info, 'get_dist_info', lambda rank=rank: (rank, 2))
        found.append([sample_info.dataset_index(index) for index in (0, 1)])
    assert found == [[0, 2], [1, 3]]


def test_a_name_is_needed_for_a_file():
    named = SegDataSample(metainfo=dict(sample_id='north/a b.v2'))
    assert sample_info.file_name(named) == 'north/a b.v2'
    with pytest.raises(ValueError, match=r"has no 'sample_id'.*, only \['img_path'\]; keep"):
        sample_info.file_name(SegDataSample(metainfo=dict(img_path=None)))


def test_samples_of_one_name_would_overwrite_each_other():
    joined = SimpleNamespace(datasets=[dataset('a', 'b'), dataset('c', 'b')])
    with pytest.raises(ValueError, match=r'1 samples of .* share their names.*: b;'):
        sample_info.check_names_differ(joined)
    sample_info.check_names_differ(SimpleNamespace(datasets=[dataset('a'), dataset('b')]))
    sample_info.check_names_differ(dataset('a', 'a'))
