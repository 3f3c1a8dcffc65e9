import json

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from PIL import Image

from tfinet_mm.datasets import GeneratedSCDDataset, SCDDataset, SECONDDataset, label_counts
from tfinet_mm.datasets.label_counts import LabelCounts, category_ids, count_labels, joined_counts
from tfinet_mm.errors import LabelValueError

CLASSES = dict(
    semantic_classes=['same', 'wet', 'dry', 'built'],
    semantic_palette=[[255, 255, 255], [0, 0, 255], [90, 60, 30], [128, 0, 0]],
)
PAIRS = {
    # One row of eight pixels a date; 0 where nothing changed, 255 where nothing is known.
    'a': ([0] * 8, [0] * 8),
    'b': ([1, 0, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0]),
    'c': ([1, 1, 2, 2, 0, 0, 255, 255], [2, 2, 2, 3, 0, 0, 255, 255]),
    'd': ([255] * 8, [255] * 8),
}


@pytest.fixture
def worked(tmp_path):
    """Write the pairs, and return a function that builds their data set."""

    def write(folder, name, values):
        path = tmp_path / folder / f'{name}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(values).save(path)

    for name, labels in PAIRS.items():
        for date, label in enumerate(labels, 1):
            write(f'im{date}', name, np.full((2, 8, 3), 40 * date, np.uint8))
            write(f'label{date}', name, np.array([label, label], np.uint8))
            write('mask', name, np.array([[(v > 0) * (1 if v < 255 else 255) for v in label]] * 2,
                                         np.uint8))  # fmt: skip

    def build(**options):
        return SCDDataset(data_root=str(tmp_path), **(CLASSES | options))

    return build


@pytest.fixture
def no_reading(monkeypatch):
    """Return a function after which no label file can be read."""

    def forbid():
        def fail(*_):
            raise AssertionError('a label file is read again')

        monkeypatch.setattr('tfinet_mm.datasets.label_counts._count', fail)

    return forbid


@pytest.fixture
def settled(tmp_path, monkeypatch):
    """Let files that were written just now count as settled."""
    monkeypatch.setattr('tfinet_mm.utils.fingerprints.SETTLED_S', -60.0)


def test_counts_are_those_of_the_worked_labels(worked):
    counts = worked().label_counts()
    assert counts.change.tolist() == [[16, 0, 0], [14, 2, 0], [4, 8, 4], [0, 0, 16]]
    np.testing.assert_allclose(counts.share(), [0, 1 / 8, 4 / 6, 0])
    # wet, dry, built at either date
    assert counts.classes.astype(int).tolist() == [[0, 0, 0], [1, 0, 1], [1, 1, 1], [0, 0, 0]]
    assert [list(zip(*np.nonzero(one), strict=True)) for one in counts.transitions] == [
        [],
        [(0, 2)],
        [(0, 1), (1, 1), (1, 2)],
        [],
    ]
    assert [worked().get_cat_ids(index) for index in range(4)] == [[], [0, 2], [0, 1, 2], []]


def test_counts_of_change_masks_alone(worked):
    masks = dict(seg_map_path_from=None, seg_map_path_to=None, seg_map_path='mask')
    dataset = worked(data_prefix=masks, change_storage='0/1', semantic_classes=None,
                     semantic_palette=None)  # fmt: skip
    counts = dataset.label_counts()
    assert counts.change.tolist() == [[16, 0, 0], [14, 2, 0], [4, 8, 4], [0, 0, 16]]
    assert not counts.classes.any()
    assert not counts.transitions.any()
    assert [dataset.get_cat_ids(index) for index in range(4)] == [[0], [0, 1], [0, 1], []]


def test_land_cover_of_one_date_has_classes_and_no_transitions(worked):
    one = dict(seg_map_path_from=None, seg_map_path='mask')
    counts = worked(data_prefix=one, change_storage='0/1').label_counts()
    assert counts.classes.astype(int).tolist()[1:3] == [[0, 0, 1], [0, 1, 1]]
    assert not counts.transitions.any()


@pytest.mark.parametrize('limit', [1 << 24, 0], ids=['whole tile', 'each window'])
def test_windows_are_counted_each_on_their_own(worked, monkeypatch, limit):
    monkeypatch.setattr('tfinet_mm.datasets.label_counts.WHOLE_PIXELS', limit)
    counts = worked(window=(2, 4)).label_counts()
    assert counts.change[2:6].tolist() == [[6, 2, 0], [8, 0, 0], [0, 8, 0], [4, 0, 4]]


def test_pixels_without_data_do_not_count(worked, tmp_path):
    image = np.full((2, 8, 3), 40, np.uint8)
    image[:, :1] = 0
    Image.fromarray(image).save(tmp_path / 'im1' / 'b.png')
    assert worked(no_data=0).label_counts().change[1].tolist() == [14, 0, 2]


def test_subsets_have_counts_of_their_own(worked):
    dataset = worked()
    assert len(dataset.label_counts()) == 4
    assert dataset.get_subset([2, 1]).label_counts().change.tolist() == [[4, 8, 4], [14, 2, 0]]
    assert worked(indices=[1]).label_counts().change.tolist() == [[14, 2, 0]]
    loose = worked(serialize_data=False)
    assert len(loose.label_counts()) == 4
    assert len(loose.get_subset(1).label_counts()) == 1


def test_labels_are_read_once_and_again_when_a_file_changes(worked, settled, no_reading, tmp_path):
    first = worked().label_counts()
    no_reading()
    kept = worked().label_counts()
    for name in ('change', 'classes', 'transitions'):
        np.testing.assert_array_equal(getattr(kept, name), getattr(first, name))
        assert getattr(kept, name).dtype == getattr(first, name).dtype
    # Another meaning of the same files, other windows, or another file.
    for options in (dict(label_storage='index'), dict(window=(2, 4))):
        with pytest.raises(AssertionError, match='read again'):
            worked(**options).label_counts()
    Image.fromarray(np.zeros((2, 8), np.uint8)).save(tmp_path / 'label1' / 'c.png')
    with pytest.raises(AssertionError, match='read again'):
        worked().label_counts()


def test_a_damaged_file_of_the_cache_is_replaced(worked, settled, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    worked().label_counts()
    (kept,) = (tmp_path / 'cache' / 'tfinet_mm' / 'labels').glob('*.npz')
    kept.write_bytes(kept.read_bytes()[:40])
    assert worked().label_counts().change[1].tolist() == [14, 2, 0]
    assert np.load(kept)['change'].shape == (4, 3)


def test_wrappers_are_seen_through(worked):
    both = ConcatDataset([worked(), worked(indices=[2])])
    counts = label_counts.label_counts(both)
    assert counts.change[:, 1].tolist() == [0, 2, 8, 0, 8]
    repeated = label_counts.label_counts(RepeatDataset(worked(indices=[1, 2]), times=2))
    assert repeated.change[:, 1].tolist() == [2, 8, 2, 8]


def test_what_can_not_be_counted_is_named(worked, tmp_path, make_scd):
    none = dict(seg_map_path_from=None, seg_map_path_to=None)
    with pytest.raises(ValueError, match='has no label files'):
        worked(data_prefix=none, test_mode=True).label_counts()
    with pytest.raises(ValueError, match='has no label files'):
        GeneratedSCDDataset(num_pairs=2, pipeline=[]).label_counts()
    with pytest.raises(TypeError, match='labels of a list'):
        label_counts.label_counts([1, 2])
    make_scd(root='other')
    other = SECONDDataset(data_root=str(tmp_path / 'other'))
    with pytest.raises(ValueError, match=r'\[3, 6\] classes'):
        joined_counts([worked().label_counts(), other.label_counts()])
    Image.fromarray(np.full((2, 8), 9, np.uint8)).save(tmp_path / 'label1' / 'c.png')
    with pytest.raises(LabelValueError, match=r'c\.png'):
        worked(label_storage='index').label_counts()


def test_counts_are_plain_numbers(worked):
    counts = worked().label_counts()
    assert json.dumps(category_ids(counts, 1)) == '[0, 2]'
    taken = counts.take([1, 1])
    assert isinstance(taken, LabelCounts)
    assert len(taken) == 2
    infos = [worked().get_data_info(index) for index in (3, 1)]
    assert count_labels(infos, 3).change[:, 1].tolist() == [0, 2]


@pytest.mark.parametrize('rank', [0, 1])
def test_the_first_rank_reads_the_cache_for_all(worked, settled, monkeypatch, rank):
    """Ranks on several machines have different caches, and must wait for one another equally."""
    right = worked().label_counts()
    waited = []

    def once(read):
        waited.append(rank)
        return read() if rank == 0 else right

    def fail(*_):
        raise AssertionError('another rank than the first reads')

    monkeypatch.setattr('tfinet_mm.datasets.label_counts.read_once', once)
    monkeypatch.setattr('tfinet_mm.datasets.label_counts._count', fail)
    if rank:
        monkeypatch.setattr('tfinet_mm.datasets.label_counts.read_kept', fail)
    found = worked().label_counts()
    assert waited == [rank]
    np.testing.assert_array_equal(found.change, right.change)
