"""Test made-up pairs of data sets that have land cover of one date."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SingleDateDataset

COVERS = {
    'a': [[0, 1], [2, 3]],
    'b': [[1, 1], [2, 2]],
    'sub/c': [[3, 3], [3, 3]],
    'd': [[2, 0], [1, 3]],
}
PIPELINE = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
TABLE = dict(
    semantic_classes=['no data', 'water', 'forest', 'built'],
    semantic_palette=[[0, 0, 0], [0, 0, 255], [0, 128, 0], [128, 0, 0]],
    label_storage='index',
)


@pytest.fixture
def root(tmp_path):
    for grey, (name, cover) in enumerate(COVERS.items()):
        for folder, array in (
            ('img_dir', np.full((2, 2, 3), grey, np.uint8)),
            ('ann_dir', np.array(cover, np.uint8)),
        ):
            path = tmp_path / folder / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    return tmp_path


def build(root, **options):
    return SingleDateDataset(data_root=str(root), pipeline=PIPELINE, **{**TABLE, **options})


def halves(root, result):
    folder = f'{root}/img_dir/'
    return [path.removeprefix(folder).removesuffix('.png') for path in result['img_path']]


def test_each_image_is_once_before_and_once_after_of_another(root):
    dataset = build(root)
    pairs = [halves(root, dataset[index]) for index in range(len(dataset))]
    assert [before for before, _ in pairs] == sorted(COVERS)
    assert sorted(after for _, after in pairs) == sorted(COVERS)
    assert all(before != after for before, after in pairs)
    names = [dataset.get_data_info(index)['sample_id'] for index in range(4)]
    assert names == ['-'.join(pair) for pair in pairs]


def test_changed_is_where_the_classes_differ(root):
    dataset = build(root)
    for index in range(len(dataset)):
        result = dataset[index]
        before, after = (np.array(COVERS[name]) for name in halves(root, result))
        unknown = (before == 0) | (after == 0)
        expected = np.where(unknown, 255, before != after)
        assert np.array_equal(result['gt_seg_map'], expected)
        assert np.array_equal(result['gt_seg_map_to'], (after - 1) % 256)


def test_zero_may_be_a_class(root):
    dataset = build(
        root,
        zero_is='class',
        semantic_classes=['ice', 'water', 'forest', 'built'],
    )
    result = dataset[0]
    before, after = (np.array(COVERS[name]) for name in halves(root, result))
    assert np.array_equal(result['gt_seg_map'], before != after)
    assert np.array_equal(result['gt_seg_map_from'], before)


def test_images_and_coloured_labels_of_one_folder(tmp_path):
    """Read DeepGlobe's land/34_sat.jpg and land/34_mask.png, black where nothing is known."""
    colours = {'12': (0, 0, 255), '34': (0, 255, 0)}
    for name, colour in colours.items():
        (tmp_path / 'land').mkdir(exist_ok=True)
        Image.new('RGB', (2, 2), colour).save(tmp_path / f'land/{name}_sat.jpg')
        label = Image.new('RGB', (2, 2), colour)
        label.putpixel((0, 0), (0, 0, 0))
        label.save(tmp_path / f'land/{name}_mask.png')
    dataset = build(
        tmp_path,
        data_prefix=dict(img_path='land', seg_map_path='land'),
        img_suffix='_sat.jpg',
        seg_map_suffix='_mask.png',
        label_storage='rgb',
        semantic_classes=['unknown', 'water', 'forest'],
        semantic_palette=[[0, 0, 0], [0, 0, 255], [0, 255, 0]],
    )
    result = dataset[0]
    assert result['sample_id'] == '12-34'
    assert result['gt_seg_map'].tolist() == [[255, 1], [1, 1]]
    assert result['gt_seg_map_from'].tolist() == [[255, 0], [0, 0]]
    assert result['gt_seg_map_to'].tolist() == [[255, 1], [1, 1]]


def test_the_seed_decides_the_pairs(root):
    def pairs(seed):
        dataset = build(root, seed=seed)
        return [dataset.get_data_info(index)['sample_id'] for index in range(4)]

    assert pairs(0) == pairs(0)
    assert len({tuple(pairs(seed)) for seed in range(10)}) > 1


def test_lists_of_images_and_of_pairs(root):
    (root / 'list.txt').write_text('a\nsub/c\n')
    dataset = build(root, ann_file='list.txt')
    names = {dataset.get_data_info(index)['sample_id'] for index in range(len(dataset))}
    assert names == {'a-sub/c', 'sub/c-a'}
    (root / 'pairs.txt').write_text('d.png b.png d.png b.png\n')
    columns = ['img_path_from', 'img_path_to', 'seg_map_path_from', 'seg_map_path_to']
    dataset = build(root, ann_file='pairs.txt', ann_columns=columns)
    assert halves(root, dataset[0]) == ['d', 'b']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(fold=dict(every=2, keep='rest')), 'images of both sides'),
        (dict(data_prefix=dict(img_path_from='x')), 'one folder of images'),
        (dict(zero_is='sky'), 'zero_is'),
        (dict(ann_file='one.txt'), 'has 1 image .*expected two or more'),
    ],
)
def test_options_that_do_not_fit(root, options, message):
    (root / 'one.txt').write_text('a\n')
    with pytest.raises(ValueError, match=message):
        build(root, **options)
