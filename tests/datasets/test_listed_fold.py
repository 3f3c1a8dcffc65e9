"""Test folds whose pairs a list file names, and the list of split A of SECOND."""

from pathlib import Path

import pytest
from mmengine.config import Config

from tfinet_mm.datasets import SECONDDataset
from tfinet_mm.datasets.dataset_options import checked_fold
from tfinet_mm.datasets.file_index import listed_members, read_list_file
from tfinet_mm.errors import UnmatchedPairError

CONFIGS = Path(__file__).parents[2] / 'configs'
NAMES = ['00011', '00012', 'x/a.b', 'é']


def members(path, text, names=NAMES):
    path.write_text(text, encoding='utf-8')
    return listed_members(names, path, ('.png',), 'SECONDDataset')


def test_names_with_and_without_suffix_are_held_out(tmp_path):
    # The last letter is written as e and an accent.
    text = '# held out\n00011.png\n\nx/a.b\ne\u0301.png\n'
    assert members(tmp_path / 'list.txt', text) == {'00011', 'x/a.b', 'é'}


def test_a_missing_pair_names_the_data_set_and_its_size(tmp_path):
    with pytest.raises(UnmatchedPairError, match=r'00013.*SECONDDataset has 4 pairs.*complete'):
        members(tmp_path / 'list.txt', '00011.png\n00013.png\n')


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt; correct the fold's names"):
        listed_members(NAMES, tmp_path / 'nowhere.txt', ('.png',), 'x')


@pytest.mark.parametrize(
    'fold',
    [dict(names='a.txt'), dict(names='a.txt', keep='all'), dict(names='a', keep='rest', every=2)],
    ids=str,
)
def test_wrong_folds_are_refused(fold):
    with pytest.raises(ValueError, match=r"fold by a list has to be dict\(names='FILE'"):
        checked_fold(fold)


def test_a_data_set_takes_both_sides(make_scd, tmp_path):
    make_scd(names=['a', 'b', 'c'])
    list_file = tmp_path / 'list.txt'
    list_file.write_text('b.png\n')
    found = {}
    for keep in ('held_out', 'rest'):
        fold = dict(names=str(list_file), keep=keep)
        data = SECONDDataset(data_root=str(tmp_path), fold=fold)
        found[keep] = [data.get_data_info(i)['sample_id'] for i in range(len(data))]
    assert found == dict(held_out=['b'], rest=['a', 'c'])


def test_split_a_has_the_published_numbers():
    """593 of 2968 pairs, and both sides of every loader from the one list."""
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/second_split_a.py')
    names = read_list_file(cfg.list_file)
    assert len(names) == 593 == 2968 - 2375
    assert names == sorted(names)
    folds = [cfg[f'{split}_dataloader'].dataset.fold for split in ('train', 'val', 'test')]
    assert [fold.keep for fold in folds] == ['rest', 'held_out', 'held_out']
    assert {Path(fold.names) for fold in folds} == {Path(cfg.list_file)}
    assert all(set(fold) == {'names', 'keep'} for fold in folds)
    assert cfg.test_dataloader.dataset.data_root == cfg.train_dataloader.dataset.data_root
