"""Test pairs of data sets that MMSegmentation's classes read."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SingleDateDataset
from tfinet_mm.errors import LabelValueError
from tfinet_mm.structures import SECOND

PIPELINE = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
# LoveDA stores 0 for no data and its seven classes, background first, from 1 on.
TO_SECOND = {
    'background': None,
    'building': 'building',
    'road': 'ground',
    'water': 'water',
    'barren': 'ground',
    'forest': 'tree',
    'agricultural': 'low vegetation',
}
LABELS = [[[0, 1, 2, 3]], [[4, 5, 6, 7]], [[2, 2, 3, 3]]]
CLASSES = SECOND.land_cover


def write(root, labels=LABELS):
    for number, label in enumerate(labels):
        for folder, array in (
            ('img_dir/train', np.full((1, len(label[0]), 3), 9 * number, np.uint8)),
            ('ann_dir/train', np.array(label, np.uint8)),
        ):
            path = root / folder / f'{number}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    return root


def loveda(root, **more):
    prefix = dict(img_path='img_dir/train', seg_map_path='ann_dir/train')
    return dict(type='mmseg.LoveDADataset', data_root=str(root), data_prefix=prefix, **more)


def build(root, source=None, **options):
    return SingleDateDataset(dataset=source or loveda(root), pipeline=PIPELINE, **options)


def test_the_classes_of_loveda_are_those_of_the_pairs(tmp_path):
    dataset = build(write(tmp_path))
    assert dataset.class_table.land_cover == tuple(TO_SECOND)
    for pair in dataset:
        before, after = (int(path[-5]) for path in pair['img_path'])
        expected = [np.array(LABELS[one]) - 1 for one in (before, after)]
        for key, cover in zip(('gt_seg_map_from', 'gt_seg_map_to'), expected, strict=True):
            assert np.array_equal(pair[key], np.where(cover < 0, 255, cover))
        assert pair['sample_id'] == f'{before}-{after}'


def test_classes_are_merged_by_name(tmp_path):
    dataset = build(
        write(tmp_path),
        label_map=TO_SECOND,
        semantic_classes=SECOND.names,
        semantic_palette=SECOND.palette,
        redraw=True,
    )
    assert dataset.class_table == SECOND
    meant = {
        0: [255, 255, CLASSES.index('building'), CLASSES.index('ground')],
        1: [CLASSES.index(one) for one in ('water', 'ground', 'tree', 'low vegetation')],
        2: [CLASSES.index(one) for one in ('building', 'building', 'ground', 'ground')],
    }
    for epoch in range(3):
        dataset.set_epoch(epoch)
        seen = []
        for pair in dataset:
            before, after = (int(path[-5]) for path in pair['img_path'])
            assert pair['gt_seg_map_from'].tolist() == [meant[before]]
            assert pair['gt_seg_map_to'].tolist() == [meant[after]]
            assert pair['sample_id'] == f'{before}-{after}'
            seen.append(after)
        assert sorted(seen) == [0, 1, 2]


def test_classes_that_the_config_leaves_out_are_unknown(tmp_path):
    # MMSegmentation finds the values of these two classes in the order of its own class.
    source = loveda(write(tmp_path), metainfo=dict(classes=('water', 'building')))
    dataset = build(
        tmp_path,
        source,
        label_map=dict(water='water', building='building'),
        semantic_classes=SECOND.names,
        semantic_palette=SECOND.palette,
    )
    found = {pair['img_path'][0][-5]: pair['gt_seg_map_from'].tolist()[0] for pair in dataset}
    water, building = (CLASSES.index(one) for one in ('water', 'building'))
    assert found == {
        '0': [255, 255, building, 255],
        '1': [water, 255, 255, 255],
        '2': [building, building, 255, 255],
    }


def test_masks_of_colours_without_a_class_of_their_own(tmp_path):
    colours = dict(urban=(0, 255, 255), water=(0, 0, 255))
    for name, colour in zip('ab', colours.values(), strict=True):
        Image.new('RGB', (2, 2), colour).save(tmp_path / f'{name}_sat.jpg')
        Image.new('RGB', (2, 2), colour).save(tmp_path / f'{name}_mask.png')
    source = dict(
        type='mmseg.BaseSegDataset',
        data_prefix=dict(img_path=str(tmp_path), seg_map_path=str(tmp_path)),
        img_suffix='_sat.jpg',
        seg_map_suffix='_mask.png',
        metainfo=dict(classes=tuple(colours), palette=list(colours.values())),
    )
    dataset = build(
        tmp_path,
        source,
        label_storage='rgb',
        label_map=dict(urban='building', water='water'),
        semantic_classes=SECOND.names,
        semantic_palette=SECOND.palette,
    )
    (pair,) = [one for one in dataset if one['sample_id'] == 'a-b']
    assert np.unique(pair['gt_seg_map_from']) == [CLASSES.index('building')]
    assert np.unique(pair['gt_seg_map_to']) == [CLASSES.index('water')]


def test_a_value_without_a_class_is_refused(tmp_path):
    # 6 would be a class of SECOND, but is none of this data set.
    source = dict(
        type='mmseg.BaseSegDataset',
        data_root=str(write(tmp_path, [[[0, 1]], [[1, 6]]])),
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        img_suffix='.png',
        metainfo=dict(classes=('water', 'building'), palette=[(0, 0, 9), (9, 0, 0)]),
    )
    options = dict(semantic_classes=SECOND.names, semantic_palette=SECOND.palette)
    dataset = build(tmp_path, source, **options)
    with pytest.raises(LabelValueError, match='as 6, expected the values 0, 1 of the classes'):
        list(dataset)


def test_values_of_no_class_that_are_listed_are_ignored(tmp_path):
    write(tmp_path, [[[1, 9]], [[77, 3]]])
    with pytest.raises(LabelValueError, match=r'values 0, .* 7 of .*in ignore_values') as caught:
        list(build(tmp_path))
    assert 'label_map' not in str(caught.value)
    dataset = build(tmp_path, ignore_values=(9, 77))
    found = {pair['img_path'][0][-5]: pair['gt_seg_map_from'].tolist()[0] for pair in dataset}
    assert found == {'0': [0, 255], '1': [255, 2]}
    with pytest.raises(ValueError, match=r"ignore_values has 3, a class of dataset .* 'road'"):
        build(tmp_path, ignore_values=[9, 3])


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        (dict(type='ConcatDataset', datasets=[]), r'is a mmengine.ConcatDataset, .* around these'),
        (dict(type='RepeatDataset', times=2), r'is a mmengine.RepeatDataset, .* around these'),
        (dict(type='tfinet_mm.SECONDDataset'), r'is a tfinet_mm.SECONDDataset, .*single images'),
        (dict(type='mmseg.BaseCDDataset'), r'is a mmseg.BaseCDDataset, .*single images'),
    ],
)
def test_data_sets_that_are_not_of_single_images(tmp_path, source, message):
    write(tmp_path)
    if source['type'] == 'mmseg.BaseCDDataset':
        folders = dict(img_path='img_dir/train', img_path2='img_dir/train')
        source['data_prefix'] = dict(folders, seg_map_path='ann_dir/train')
        source.update(img_suffix='.png', img_suffix2='.png', data_root=str(tmp_path))
    with pytest.raises(ValueError, match=message) as caught:
        build(tmp_path, source)
    assert 'data_root' not in str(caught.value)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(label_map={'building': 'building'}), 'lacks the classes'),
        (dict(label_map={**TO_SECOND, 'sea': 'water'}), r"unknown classes \['sea'\]"),
        (dict(label_map={**TO_SECOND, 'road': 'street'}), "no class 'street'"),
        (dict(label_map=None), "no class 'background'"),
        (dict(data_root='elsewhere'), "'data_root'"),
        (dict(zero_is='class'), "'zero_is'"),
        (dict(data_prefix=dict(img_path='x')), "'data_prefix'"),
        (dict(source=dict(data_root='x')), 'has to be the config of a data set'),
        (dict(redraw=True, window=16), 'redraw'),
        (dict(indices=1), 'leave 1'),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, message):
    write(tmp_path)
    defaults = dict(
        label_map=TO_SECOND, semantic_classes=SECOND.names, semantic_palette=SECOND.palette
    )
    with pytest.raises(ValueError, match=message):
        build(tmp_path, **{**defaults, **options})[0]


def test_a_data_set_without_images_is_refused(tmp_path):
    for folder in ('img_dir/train', 'ann_dir/train'):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(ValueError, match='has 0 entries'):
        build(tmp_path)


def test_an_image_that_is_listed_twice_is_refused(tmp_path):
    source = loveda(write(tmp_path), indices=[0, 1, 1])
    with pytest.raises(ValueError, match=r'LoveDADataset has the image .*1\.png more than once'):
        build(tmp_path, source)


def test_chosen_images_are_paired_with_each_other(tmp_path):
    write(tmp_path, LABELS + LABELS)
    dataset = build(tmp_path, indices=3)
    pairs = {tuple(int(path[-5]) for path in one['img_path']) for one in dataset}
    assert {before for before, _ in pairs} == {after for _, after in pairs} == {0, 1, 2}
    assert all(before != after for before, after in pairs)
