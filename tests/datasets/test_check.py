import json

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from PIL import Image

from tfinet_mm.datasets import SECONDDataset
from tfinet_mm.datasets.check import (
    NOTHING,
    check_dataset,
    find_leaks,
    find_other_masks,
    leaf_datasets,
)
from tfinet_mm.errors import LabelFormatError
from tfinet_mm.structures import HRSCD, LANDSAT_SCD, SECOND

PIPELINE = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs'),
]


def check(root, workers=0, batch_size=1, **options):
    dataset = SECONDDataset(data_root=str(root), pipeline=PIPELINE, **options)
    return check_dataset(dataset, workers, batch_size, progress=iter)


def found(report, level):
    return [(p.where, p.message) for p in report.problems if p.level == level]


@pytest.mark.parametrize('workers', [0, 2])
def test_numbers_agree_with_a_slow_count(make_scd, tmp_path, workers):
    names = [f'{i}' for i in range(9)]
    written = make_scd(names, sizes={n: (4, 5 + int(n) % 2) for n in names}, mask='0/255')
    report = check(tmp_path, workers, data_prefix=dict(seg_map_path='change'))
    counts, from_to, change = np.zeros((2, 6), int), np.zeros((6, 6), int), np.zeros(3, int)
    for arrays in written.values():
        before, after = arrays['label_from'], arrays['label_to']
        for a, b in zip(before.ravel().tolist(), after.ravel().tolist(), strict=True):
            change[1 if a else 0] += 1
            if a:
                counts[0, a - 1] += 1
                counts[1, b - 1] += 1
                from_to[a - 1, b - 1] += 1
    assert report.pairs == 9
    assert report.sizes == {(4, 5): 5, (4, 6): 4}
    assert report.storages == {'from': {'rgb': 9}, 'to': {'rgb': 9}, 'change': {'0/255': 9}}
    assert np.array_equal(report.class_counts, counts)
    assert np.array_equal(report.from_to, from_to)
    assert np.array_equal(report.change_counts, change)
    assert report.change_share == pytest.approx(change[1] / change.sum())
    assert report.ok
    assert found(report, 'warning') == []
    saved = json.loads(json.dumps(report.to_dict()))
    assert saved['from_to'] == from_to.tolist()
    assert saved['sizes'] == {'4x5': 5, '4x6': 4}


def test_every_damaged_file_is_named_and_the_rest_counted(make_scd, tmp_path):
    make_scd(['a', 'b', 'c', 'd'], storage='index')
    (tmp_path / 'im1' / 'a.png').write_bytes(b'nonsense')
    Image.fromarray(np.full((12, 16), 9, np.uint8)).save(tmp_path / 'label1' / 'b.png')
    (tmp_path / 'im2' / 'c.png').write_bytes(b'nonsense')
    Image.fromarray(np.full((3, 3), 1, np.uint8)).save(tmp_path / 'label2' / 'c.png')
    report = check(tmp_path, workers=1)
    assert not report.ok
    errors = found(report, 'error')
    assert [where for where, _ in errors] == ['a', 'b', 'c', 'c']
    for (_, message), text in zip(
        errors, ('im1/a.png', '100.00 % of its pixels as 9', 'im2/c.png', 'one size'), strict=True
    ):
        assert text in message
    assert report.pairs == 4
    # The labels of a and d are still there: 2 x 12 x 16 pixels.
    assert report.change_counts.sum() == 2 * 12 * 16


def overwrite(tmp_path, folders, values):
    for folder in folders:
        for path in sorted((tmp_path / folder).glob('*.png')):
            with Image.open(path) as image:
                size = image.size
            Image.fromarray(np.full(size[::-1], values, np.uint8)).save(path)


@pytest.mark.parametrize(
    ('values', 'message'),
    [(0, 'no pixel of any pair is changed'), (3, 'every pixel of every pair is changed')],
)
def test_labels_that_would_train_to_nothing(make_scd, tmp_path, values, message):
    make_scd(storage='index')
    overwrite(tmp_path, ('label1', 'label2'), values)
    report = check(tmp_path)
    assert [where for where, _ in found(report, 'error')] == ['']
    assert message in found(report, 'error')[0][1]


def test_an_all_ignored_data_set_is_an_error(make_scd, tmp_path):
    make_scd(storage='index')
    overwrite(tmp_path, ('label1', 'label2'), 255)
    report = check(tmp_path, label_storage='index')
    assert 'all 576 pixels are ignored' in found(report, 'error')[0][1]
    assert (
        sum('every pixel of its change map is ignored' in m for _, m in found(report, 'warning'))
        == 3
    )


def test_change_without_any_class_is_an_error(make_scd, tmp_path):
    """The masks mark changed pixels, but the labels have no class there."""
    make_scd(storage='index', mask='0/255')
    overwrite(tmp_path, ('label1', 'label2'), 255)
    prefix = dict(seg_map_path='change')
    report = check(tmp_path, data_prefix=prefix, label_storage='index')
    assert ('', 'no pixel has a land-cover class; every label is ignored') in found(report, 'error')


def test_a_one_in_any_mask_makes_255_ignored_in_all(make_scd, tmp_path):
    written = make_scd(['a', 'b'], mask='0/255')
    mask = written['b']['change'].copy()
    mask[0, 0] = 255
    Image.fromarray(mask).save(tmp_path / 'change' / 'b.png')
    prefix = dict(seg_map_path='change')
    report = check(tmp_path, data_prefix=prefix)
    assert report.decided['change'].startswith('0/1 (')
    assert any('change_storage="0/1"' in message for _, message in found(report, 'warning'))
    changed = (written['a']['change'] == 1).sum() + (
        mask[written['b']['label_from'] > 0] == 255
    ).sum()
    assert report.change_counts[1] == 2 * 12 * 16 - report.change_counts[[0, 2]].sum()
    assert report.change_counts[2] >= changed - 1
    forced = check(tmp_path, data_prefix=prefix, change_storage='0/1')
    assert not any('change_storage' in message for _, message in found(forced, 'warning'))


def test_things_worth_a_look(make_scd, tmp_path):
    written = make_scd(['a', 'b', 'c'], storage='rgb')
    reverse = Image.fromarray(6 - written['c']['label_from'], mode='P')
    reverse.putpalette([value for colour in SECOND.palette[::-1] for value in colour])
    reverse.save(tmp_path / 'label1' / 'c.png')
    conflict = written['c']['label_to'].copy()
    conflict[0][conflict[0] == 0] = 1
    conflicts = int((written['c']['label_to'][0] == 0).sum())
    Image.fromarray(np.array(SECOND.palette, np.uint8)[conflict]).save(tmp_path / 'label2/c.png')
    for folder in ('im1', 'im2'):
        (tmp_path / folder / 'b.png').write_bytes((tmp_path / folder / 'a.png').read_bytes())
    (tmp_path / 'im2' / 'c.png').write_bytes((tmp_path / 'im1' / 'c.png').read_bytes())
    report = check(tmp_path)
    assert report.ok
    assert report.conflicts == conflicts
    messages = '\n'.join(f'{where}: {message}' for where, message in found(report, 'warning'))
    assert f'{conflicts} pixels (' in messages
    assert "b: its images are the same as those of 'a'" in messages
    assert 'c: both dates are the same image' in messages
    assert 'labels (from) are stored in several ways: 2 rgb, 1 palette' in messages


def test_indices_and_colours_in_one_folder_stop(make_scd, tmp_path):
    written = make_scd(['a', 'b', 'c'], storage='rgb')
    Image.fromarray(written['c']['label_from']).save(tmp_path / 'label1' / 'c.png')
    with pytest.raises(
        LabelFormatError, match=r'label1/c\.png holds class indices, .*label1/a\.png'
    ):
        check(tmp_path)


def test_absent_classes(make_scd, tmp_path):
    make_scd(storage='index')
    for folder in ('label1', 'label2'):
        for path in (tmp_path / folder).glob('*.png'):
            label = np.asarray(Image.open(path))
            Image.fromarray(np.where(label == 6, np.uint8(5), label)).save(path)
    assert found(check(tmp_path), 'warning') == [
        ('', "no pixel has one of the classes ['sports field']")
    ]


def test_mixed_sizes_in_batches_of_a_test(make_scd, tmp_path):
    make_scd(['a', 'b'], sizes={'a': (4, 5), 'b': (6, 6)})
    assert check(tmp_path, batch_size=2).ok
    assert check(tmp_path, batch_size=1, test_mode=True).ok
    report = check(tmp_path, batch_size=2, test_mode=True)
    assert 'batch_size=1' in found(report, 'error')[0][1]


def test_without_labels(make_scd, tmp_path):
    make_scd()
    none = dict(seg_map_path_from=None, seg_map_path_to=None)
    report = check(tmp_path, data_prefix=none, test_mode=True)
    assert report.ok
    assert found(report, 'warning') == [
        ('', 'no pair has labels, so that predictions can not be scored')
    ]


def test_leaks_between_splits(make_scd, tmp_path):
    make_scd(['a', 'b', 'c', 'd'])
    fold = dict(every=2, start=0)
    train = check(tmp_path, fold={**fold, 'keep': 'rest'})
    val = check(tmp_path, fold={**fold, 'keep': 'held_out'})
    assert find_leaks(dict(train=train, val=val)) == []
    assert find_leaks(dict(val=val, test=check(tmp_path))) == []
    (problem,) = find_leaks({'train (1 of 2)': train, 'val': val, 'test': check(tmp_path)})
    assert '2 of 4 pairs of test are trained on as well' in problem.message
    assert "'b', 'd'" in problem.message


def test_masks_of_another_split_that_look_otherwise(make_scd, tmp_path):
    make_scd(['a'], mask='index', root='train')
    make_scd(['b'], mask='0/255', root='val')
    prefix = dict(data_prefix=dict(seg_map_path='change'))
    reports = dict(train=check(tmp_path / 'train', **prefix), val=check(tmp_path / 'val', **prefix))
    assert find_other_masks(reports) == []  # Nothing is ignored in training.
    mask = np.asarray(Image.open(tmp_path / 'train/change/a.png')).copy()
    mask[0, :3] = 255
    Image.fromarray(mask).save(tmp_path / 'train/change/a.png')
    reports['train'] = check(tmp_path / 'train', **prefix)
    (problem,) = find_other_masks(reports)
    assert 'masks of val hold 255 and no 1' in problem.message
    reports['val'] = check(tmp_path / 'val', change_storage='0/255', **prefix)
    assert find_other_masks(reports) == []


def test_wrapped_data_sets(make_scd, tmp_path):
    make_scd()
    dataset = SECONDDataset(data_root=str(tmp_path), pipeline=PIPELINE)
    assert leaf_datasets(ConcatDataset([dataset, dataset])) == [dataset, dataset]
    assert leaf_datasets(RepeatDataset(dataset, times=2)) == [dataset]
    with pytest.raises(TypeError, match='got int'):
        leaf_datasets(3)


ZERO = dict(
    semantic_classes=['water', 'ground', 'tree'],
    semantic_palette=[[0, 0, 255], [128, 128, 128], [0, 255, 0]],
)


def write_indices(tmp_path, **folders):
    for folder, values in folders.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(np.array(values, np.uint8)).save(tmp_path / folder / 'a.png')


@pytest.mark.parametrize('semantics', ['semantic_change', 'land_cover'])
def test_a_land_cover_at_index_0_is_said(make_scd, tmp_path, semantics):
    make_scd(['a'], sizes=(2, 4))
    write_indices(
        tmp_path,
        label1=[[0, 1, 2, 0], [1, 2, 0, 0]],
        label2=[[0, 2, 1, 0], [2, 1, 0, 0]],
        change=[[0, 1, 1, 0], [1, 1, 0, 0]],
    )
    prefix = dict(seg_map_path='change')
    report = check(tmp_path, data_prefix=prefix, label_semantics=semantics, **ZERO)
    (warning,) = [message for _, message in found(report, 'warning') if "'water'" in message]
    assert '50.0 % of the pixels' in warning
    assert 'zero_is="class"' in warning


def test_names_of_nothing():
    for table in (SECOND, LANDSAT_SCD, HRSCD):
        assert NOTHING.search(table.names[0])
        assert not any(NOTHING.search(name) for name in table.names[1:])
    for name in ('background', 'Unlabelled', 'no-data', 'ignore', 'void', 'nodata', 'BG'):
        assert NOTHING.search(name)
    for name in ('forest', 'north', 'bare', 'snow', 'wetland'):
        assert not NOTHING.search(name)


def test_labels_that_teach_nothing_of_transitions(make_scd, tmp_path):
    make_scd(storage='rgb')
    for name in 'abc':
        (tmp_path / 'label2' / f'{name}.png').write_bytes(
            (tmp_path / 'label1' / f'{name}.png').read_bytes()
        )
    assert 'the same class on both dates' in found(check(tmp_path), 'error')[0][1]


def test_labels_that_contradict_each_other_more_than_they_change(make_scd, tmp_path):
    # Labels 0..K-1, 255 where unchanged: 0 is a class of its own on each date.
    make_scd(['a'], sizes=(2, 4))
    write_indices(
        tmp_path, label1=[[0, 1, 2, 0], [1, 2, 0, 0]], label2=[[1, 0, 1, 2], [0, 0, 2, 0]]
    )
    (_, message) = found(check(tmp_path), 'error')[0]
    assert 'contradict each other at 6 pixels, more than are changed (1)' in message


@pytest.mark.parametrize('test_mode', [False, True])
def test_change_masks_alone_are_said_to_train_and_score_change(make_scd, tmp_path, test_mode):
    make_scd(mask='0/255')
    prefix = dict(seg_map_path='change', seg_map_path_from=None, seg_map_path_to=None)
    report = check(tmp_path, data_prefix=prefix, test_mode=test_mode)
    assert report.ok
    messages = [message for _, message in found(report, 'warning')]
    (said,) = [message for message in messages if 'no land cover' in message]
    assert 'training trains change alone, and testing scores change alone (change/prec' in said


def test_colours_of_no_class_are_counted_where_they_are_ignored(make_scd, tmp_path):
    make_scd(['a'], sizes=(2, 4))
    label = np.array(SECOND.palette, np.uint8)[[[0, 1, 2, 3], [4, 5, 6, 0]]]
    label[0, 0] = (255, 250, 255)
    label[1, 3] = (3, 2, 1)
    for folder in ('label1', 'label2'):
        Image.fromarray(label).save(tmp_path / folder / 'a.png')
    report = check(tmp_path, colour_tolerance=5, unknown_colours='ignore')
    assert report.unknown == 2  # One pixel in each file.
    assert report.change_counts.tolist() == [1, 6, 1]
    assert any('2 pixels of label files' in message for _, message in found(report, 'warning'))
