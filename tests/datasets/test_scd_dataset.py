import pickle
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SCDDataset, SECONDDataset
from tfinet_mm.errors import ConfigError, UnmatchedPairError
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import CHANGE_ONLY, SECOND

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
    assert not dataset.change_only


def test_change_masks_alone_are_labels(make_scd, tmp_path):
    """They can be trained on; without classes of its own the data set has one, "changed"."""
    make_scd(folders=('im1', 'im2', 'label1', 'label2', 'cd'), mask='0/255')
    masks = dict(seg_map_path_from=None, seg_map_path_to=None, seg_map_path='cd')
    dataset = SCDDataset(data_root=str(tmp_path), data_prefix=masks)
    assert dataset.change_only
    assert dataset.class_table == CHANGE_ONLY
    assert str(dataset.label_spec.storages['change']).startswith('0/255')
    assert SECONDDataset(data_root=str(tmp_path), data_prefix=masks).class_table == SECOND
    both = SECONDDataset(data_root=str(tmp_path), data_prefix=dict(seg_map_path='cd'))
    assert not both.change_only
    with pytest.raises(ValueError, match='lacks'):
        SCDDataset(data_root=str(tmp_path), data_prefix=dict(seg_map_path='cd'))


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
    # This transform always flips.
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
    with pytest.raises(ValueError, match='no pair of 11 is left'):
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


def disaster(tmp_path, make_scd):
    """Write both dates into one folder, and their labels into another; return the arrays."""
    written = make_scd(storage='index')
    for role, folder in (('images', ('im1', 'im2')), ('targets', ('label1', 'label2'))):
        (tmp_path / role).mkdir()
        for date, one in zip(('pre', 'post'), folder, strict=True):
            for name in written:
                ending = '_target' if role == 'targets' else ''
                target = tmp_path / role / f'{name}_{date}_disaster{ending}.png'
                (tmp_path / one / f'{name}.png').rename(target)
    return written


ONE_FOLDER = dict(
    img_path_from='images',
    img_path_to='images',
    seg_map_path_from='targets',
    seg_map_path_to='targets',
)
BY_SUFFIX = dict(
    img_suffix=dict(img_path_from='_pre_disaster.png', img_path_to='_post_disaster.png'),
    seg_map_suffix=dict(
        seg_map_path_from='_pre_disaster_target.png', seg_map_path_to='_post_disaster_target.png'
    ),
)
BY_PATTERN = dict(
    key_pattern=dict(
        img_path_from='_pre_disaster',
        img_path_to='_post_disaster',
        seg_map_path_from='_pre_disaster_target',
        seg_map_path_to='_post_disaster_target',
    )
)


@pytest.mark.parametrize('options', [BY_SUFFIX, BY_PATTERN])
def test_one_folder_of_both_dates(make_scd, tmp_path, options):
    written = disaster(tmp_path, make_scd)
    dataset = SECONDDataset(data_root=str(tmp_path), data_prefix=ONE_FOLDER, **options)
    end = '' if options is BY_SUFFIX else '_pre_disaster'
    assert ids(dataset) == [f'{name}{end}' for name in written]
    for index, name in enumerate(written):
        info = dataset.get_data_info(index)
        assert info['img_path'] == [
            str(tmp_path / 'images' / f'{name}_{date}_disaster.png') for date in ('pre', 'post')
        ]
        assert info['seg_map_path_to'] == str(
            tmp_path / 'targets' / f'{name}_post_disaster_target.png'
        )
    (tmp_path / 'list.txt').write_text(f'b{end}\n')
    listed = SECONDDataset(
        data_root=str(tmp_path), data_prefix=ONE_FOLDER, ann_file='list.txt', **options
    )
    assert ids(listed) == [f'b{end}']


def test_one_folder_without_saying_whose_files_are_whose(make_scd, tmp_path):
    disaster(tmp_path, make_scd)
    options = dict(data_root=str(tmp_path), data_prefix=ONE_FOLDER)
    with pytest.raises(UnmatchedPairError, match=r'give each role its own: key_pattern=dict\('):
        SECONDDataset(**options, key_pattern='_(pre|post)_disaster(_target)?')
    suffixes = dict(img_suffix='_pre_disaster.png', seg_map_suffix='_pre_disaster_target.png')
    with pytest.raises(
        ValueError, match=r'same images: .* are the folder .*images.*img_suffix=dict'
    ):
        SECONDDataset(**options, **suffixes)
    images = dict(suffixes, img_suffix=BY_SUFFIX['img_suffix'])
    with pytest.raises(ValueError, match=r'same labels: .* are the folder .*targets'):
        SECONDDataset(**options, **images)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(img_suffix=dict(before='.png')), r"img_suffix has the unknown keys \['before'\]"),
        (dict(img_suffix=dict(img_path_to='png')), r"img_suffix\['img_path_to'\]='png' has no dot"),
        (dict(key_pattern=dict(after='_post')), r"key_pattern has the unknown keys \['after'\]"),
        (dict(key_pattern=dict(img_path_to='(')), r"regular expression, got '\('"),
    ],
)
def test_options_of_roles_that_do_not_fit(make_scd, tmp_path, options, message):
    make_scd()
    with pytest.raises(ValueError, match=message):
        SECONDDataset(data_root=str(tmp_path), **options)


@pytest.mark.parametrize(
    ('first', 'second', 'message'),
    [
        ('im1', 'im2', r'same images: .*hold one file in 1 of 3 pairs, such as .*im1/b\.png'),
        ('label1', 'label2', r'same labels: .*hold one file in 1 of 3 pairs'),
        ('label1', 'im1', r'one file would be read in two roles: .*img_path_from'),
    ],
)
def test_a_link_to_the_file_of_another_role(make_scd, tmp_path, first, second, message):
    make_scd(storage='index')
    (tmp_path / second / 'b.png').unlink()
    (tmp_path / second / 'b.png').symlink_to(tmp_path / first / 'b.png')
    with pytest.raises(ValueError, match=message):
        SECONDDataset(data_root=str(tmp_path))
    (tmp_path / 'list.txt').write_text('a\nc\n')
    assert len(SECONDDataset(data_root=str(tmp_path), ann_file='list.txt')) == 2


def test_linked_folders(make_scd, tmp_path):
    make_scd()
    (tmp_path / 'again').symlink_to('label1')
    prefix = dict(seg_map_path_to='again')
    with pytest.raises(ValueError, match=r'same labels: .* are the folder'):
        SECONDDataset(data_root=str(tmp_path), data_prefix=prefix)
    # All files are links into a store, as data versioning creates them.
    for folder in ('im1', 'im2', 'label1', 'label2'):
        (tmp_path / 'store').mkdir(exist_ok=True)
        for name in 'abc':
            target = tmp_path / 'store' / f'{folder}{name}'
            (tmp_path / folder / f'{name}.png').rename(target)
            (tmp_path / folder / f'{name}.png').symlink_to(target)
    assert ids(SECONDDataset(data_root=str(tmp_path))) == ['a', 'b', 'c']
    (tmp_path / 'store' / 'label2b').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'1 files .* missing files, such as .*label2/b\.png ->'
    ):
        SECONDDataset(data_root=str(tmp_path))


def test_a_store_may_keep_labels_without_change_once(make_scd, tmp_path):
    make_scd(storage='index')
    for folder in ('label1', 'label2'):
        (tmp_path / folder / 'b.png').unlink()
        (tmp_path / folder / 'b.png').symlink_to('../store.png')
    Image.fromarray(np.zeros((12, 16), np.uint8)).save(tmp_path / 'store.png')
    assert len(SECONDDataset(data_root=str(tmp_path))) == 3
    label = np.zeros((12, 16), np.uint8)
    label[3:5] = 2
    Image.fromarray(label).save(tmp_path / 'store.png')
    with pytest.raises(ValueError, match='same labels'):
        SECONDDataset(data_root=str(tmp_path))


@pytest.mark.parametrize('storage', ['index', 'palette', 'rgb'])
def test_a_sample_opens_each_of_its_files_once(make_scd, tmp_path, storage):
    make_scd(names=['a', 'b'], storage=storage, mask='0/255')
    pipeline = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
    prefix = dict(seg_map_path='change')
    dataset = SECONDDataset(data_root=str(tmp_path), data_prefix=prefix, pipeline=pipeline)
    opened, counting = [], True

    def count(event, args):
        if counting and event == 'open' and str(args[0]).startswith(str(tmp_path)):
            opened.append(str(args[0]))

    # A hook of this kind can't be removed, only told to stop.
    sys.addaudithook(count)
    for sample in dataset:
        assert sample['img'].shape[2] == 6
    counting = False
    folders = ('im1', 'im2', 'label1', 'label2', 'change')
    once = {str(tmp_path / folder / f'{name}.png'): 1 for folder in folders for name in 'ab'}
    assert Counter(opened) == once


def test_of_each_pair_little_more_than_its_name_is_kept(tmp_path):
    names = [f'region {i:05d}' for i in range(3000)]
    for folder in ('im1', 'im2', 'label1', 'label2'):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f'{name}.png').touch()
    dataset = SECONDDataset(data_root=str(tmp_path))
    assert dataset.data_bytes.nbytes / 3000 < 100
    assert len(dataset.data_list) == 0
    plain = SECONDDataset(data_root=str(tmp_path), serialize_data=False)
    for index in (0, 1, 2999, -1):
        assert dataset.get_data_info(index) == plain.get_data_info(index)
    for indices in (5, -5, [3, 7]):
        part, other = (
            SECONDDataset(data_root=str(tmp_path), indices=indices, serialize_data=serialize)
            for serialize in (True, False)
        )
        assert ids(part) == ids(other) == ids(dataset.get_subset(indices))
