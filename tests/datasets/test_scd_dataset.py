import pickle

import numpy as np
import pytest

from tfinet_mm.datasets import SCDDataset, SECONDDataset
from tfinet_mm.errors import ConfigError, UnmatchedPairError
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import SECOND

TWO = dict(
    semantic_classes=['same', 'wet', 'dry'],
    semantic_palette=[[255, 255, 255], [0, 0, 255], [90, 60, 30]],
)


def ids(dataset):
    return [dataset.get_data_info(index)['sample_id'] for index in range(len(dataset))]


def test_entries(make_scd, tmp_path):
    make_scd(names=['b', 'sub dir/a.v1 c', 'Zürich'])
    dataset = SECONDDataset(data_root=str(tmp_path))
    assert ids(dataset) == ['Zürich', 'b', 'sub dir/a.v1 c']
    info = dataset.get_data_info(2)
    assert info['img_path'] == [str(tmp_path / d / 'sub dir/a.v1 c.png') for d in ('im1', 'im2')]
    assert info['seg_map_path_from'] == str(tmp_path / 'label1/sub dir/a.v1 c.png')
    assert info['seg_map_path_to'] == str(tmp_path / 'label2/sub dir/a.v1 c.png')
    assert info['seg_map_path'] is None
    assert info['window'] is None
    assert info['label_spec'].table == SECOND
    assert info['seg_fields'] == []
    assert dataset.metainfo['semantic_classes'] == SECOND.names
    assert dataset.metainfo['classes'] == ('unchanged', 'changed')


def test_a_data_set_of_ones_own_by_config_lines(make_scd, tmp_path):
    make_scd(folders=('before', 'after', 'gt1', 'gt2', 'cd'), mask='0/255', suffix='.jpg')
    dataset = DATASETS.build(
        dict(
            type='tfinet_mm.SCDDataset',
            data_root=str(tmp_path),
            data_prefix=dict(
                img_path_from='before',
                img_path_to='after',
                seg_map_path_from='gt1',
                seg_map_path_to='gt2',
                seg_map_path='cd',
            ),
            img_suffix='.jpg',
            **TWO,
        )
    )
    assert dataset.metainfo['semantic_classes'] == ('same', 'wet', 'dry')
    assert dataset.get_data_info(0)['seg_map_path'] == str(tmp_path / 'cd/a.png')
    with pytest.raises(ValueError, match='semantic_classes'):
        SCDDataset(data_root=str(tmp_path))


def test_classes_by_metainfo_as_open_cd_states_them(make_scd, tmp_path):
    make_scd()
    dataset = SCDDataset(data_root=str(tmp_path), metainfo=dict(**TWO, source='drone'))
    assert dataset.metainfo['semantic_palette'][2] == (90, 60, 30)
    assert dataset.metainfo['source'] == 'drone'


def test_list_files_choose_and_order(make_scd, tmp_path):
    make_scd(names=['a', 'b', 'c'])
    (tmp_path / 'list.txt').write_text('c\na.png\n')
    assert ids(SECONDDataset(data_root=str(tmp_path), ann_file='list.txt')) == ['c', 'a']


def test_a_missing_list_file_is_never_a_folder_listing(make_scd, tmp_path):
    make_scd()
    with pytest.raises(FileNotFoundError, match=r'no such list file: .*train\.txt'):
        SECONDDataset(data_root=str(tmp_path), ann_file='train.txt')


def test_unmatched_names_are_an_error(make_scd, tmp_path):
    make_scd(names=['a', 'b'])
    (tmp_path / 'label2' / 'b.png').unlink()
    with pytest.raises(UnmatchedPairError, match="seg_map_path_to lacks 'b'"):
        SECONDDataset(data_root=str(tmp_path))
    (tmp_path / 'list.txt').write_text('a\n')
    assert len(SECONDDataset(data_root=str(tmp_path), ann_file='list.txt')) == 1


def test_a_missing_folder_is_named_with_its_key(make_scd, tmp_path):
    make_scd()
    with pytest.raises(FileNotFoundError, match=r"masks.*data_prefix\['seg_map_path'\]"):
        SECONDDataset(data_root=str(tmp_path), data_prefix=dict(seg_map_path='masks'))


def test_without_labels_for_prediction_only(make_scd, tmp_path):
    make_scd()
    none = dict(seg_map_path_from=None, seg_map_path_to=None)
    dataset = SECONDDataset(data_root=str(tmp_path), data_prefix=none, test_mode=True)
    assert len(dataset) == 3
    assert dataset.get_data_info(0)['seg_map_path_from'] is None
    with pytest.raises(ValueError, match='test_mode=True'):
        SECONDDataset(data_root=str(tmp_path), data_prefix=none)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(data_prefix=dict(img='x')), 'unknown keys'),
        (dict(data_prefix=dict(img_path_to=None)), 'img_path_to'),
        (dict(data_prefix=dict(seg_map_path_to=None)), 'both dates or neither'),
        (dict(label_semantics='land_cover'), 'needs change masks'),
        (dict(fold=dict(every=2)), 'keep one of'),
        (dict(fold=dict(every=2, keep='half')), 'keep one of'),
        (dict(window=0), 'window'),
        (dict(window=4, window_edge='pad'), 'window_edge'),
        (dict(window=(4, 2.5)), 'window'),
        (dict(window='4'), 'window'),
        (dict(key_pattern='(a'), r"regular expression, got '\(a'"),
        (dict(key_pattern=5), 'regular expression, got 5'),
        (dict(img_suffix=None), 'img_suffix has to be the ending of file names'),
        (dict(img_suffix=[]), 'img_suffix has to be'),
        (dict(seg_map_suffix=['.png', '']), 'seg_map_suffix has to be'),
        (dict(img_suffix='png'), r"img_suffix='png' has no dot.*set img_suffix='\.png'"),
        (dict(data_prefix='im1'), 'data_prefix has to be a dictionary'),
        (dict(data_prefix=dict(img_path_to='im1')), 'same images.*are the folder .*im1'),
        (dict(data_prefix=dict(img_path_to='../{root}/./im1')), 'same images'),
        (dict(metainfo=['a']), 'metainfo has to be a dictionary'),
        (dict(fold=3), 'fold has to be a dictionary'),
        (dict(fold=dict(every='2', keep='rest')), 'whole numbers'),
        (dict(fold=dict(every=2, start=[0.5], keep='rest')), 'whole numbers'),
        (dict(ann_file='list.txt'), 'no such list file'),
        (dict(indices=0), 'indices has to be'),
        (dict(indices=[]), 'indices has to be'),
        (dict(indices=1.5), 'indices has to be'),
        (dict(indices=[0, 3]), 'indices has 3, but the data set has 3 pairs'),
    ],
)
def test_arguments_that_do_not_fit(make_scd, tmp_path, options, message):
    make_scd()
    prefix = options.get('data_prefix')
    if isinstance(prefix, dict):
        named = {key: value and value.format(root=tmp_path.name) for key, value in prefix.items()}
        options = options | dict(data_prefix=named)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        SECONDDataset(data_root=str(tmp_path), **options)


def test_a_pipeline_in_a_wrong_order_is_named(make_scd, tmp_path):
    make_scd()
    load = dict(type='tfinet_mm.LoadImagePair')
    # It always flips.
    flip = dict(type='tfinet_mm.RandomFlipOrRotate', probs=(0, 1, 0, 0, 0, 0))
    dataset = SECONDDataset(data_root=str(tmp_path), pipeline=[flip, load])
    with pytest.raises(ConfigError, match=r'pipeline RandomFlipOrRotate, LoadImagePair fails on '):
        dataset[0]


def test_folds_part_the_sorted_names(make_scd, tmp_path):
    names = [f'{index:02d}' for index in range(11)]
    make_scd(names=names, sizes=(2, 2))
    held_out, rest = (
        ids(SECONDDataset(data_root=str(tmp_path), fold=dict(every=5, start=4, keep=keep)))
        for keep in ('held_out', 'rest')
    )
    assert held_out == ['04', '09']
    assert sorted(held_out + rest) == names
    with pytest.raises(ValueError, match='none of 11 pairs is left'):
        SECONDDataset(data_root=str(tmp_path), fold=dict(every=20, start=15, keep='held_out'))


def test_windows_are_entries_of_their_own(make_scd, tmp_path):
    make_scd(names=['a', 'b'], sizes={'a': (8, 10), 'b': (4, 4)})
    dataset = SECONDDataset(data_root=str(tmp_path), window=(4, 5), stride=4)
    assert ids(dataset) == [
        'a_x0_y0',
        'a_x4_y0',
        'a_x5_y0',
        'a_x0_y4',
        'a_x4_y4',
        'a_x5_y4',
        'b_x0_y0',
    ]
    assert dataset.get_data_info(2)['window'] == (5, 0, 5, 4)
    assert dataset.get_data_info(6)['window'] == (0, 0, 4, 4)


def test_subsets_and_worker_processes_see_the_same_entries(make_scd, tmp_path):
    make_scd(names=['a', 'b', 'c'])
    dataset = SECONDDataset(data_root=str(tmp_path), indices=2)
    assert ids(dataset) == ['a', 'b']
    again = pickle.loads(pickle.dumps(dataset))
    assert again.get_data_info(1) == dataset.get_data_info(1)


@pytest.mark.parametrize('storage', ['index', 'palette', 'rgb'])
@pytest.mark.parametrize('mask', [None, 'index', '0/255'])
def test_every_variant_gives_the_same_maps(make_scd, tmp_path, storage, mask):
    written = make_scd(storage=storage, mask=mask, sizes={'a': (4, 6), 'b': (8, 5), 'c': (3, 3)})
    pipeline = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
    prefix = {} if mask is None else dict(seg_map_path='change')
    dataset = SECONDDataset(data_root=str(tmp_path), data_prefix=prefix, pipeline=pipeline)
    for index, arrays in enumerate(written.values()):
        results = dataset[index]
        both = np.concatenate([arrays['before'], arrays['after']], axis=2)
        assert np.array_equal(results['img'], both)
        assert np.array_equal(results['gt_seg_map'], arrays['change'])
        for key in ('from', 'to'):
            label = arrays[f'label_{key}']
            expected = np.where(label == 0, 255, label.astype(int) - 1)
            assert np.array_equal(results[f'gt_seg_map_{key}'], expected)
        assert results['label_conflicts'] == 0
