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


def large(root, number=4, side=64):
    """Write images of 2 x 2 windows, whose labels and red bands are the number of the image."""
    for index in range(number):
        image = np.zeros((side, side, 3), np.uint8)
        image[..., 0] = index
        # The green band is the number of the window.
        image[..., 1] = np.kron([[0, 1], [2, 3]], np.ones((side // 2, side // 2)))
        for folder, array in (('img_dir', image), ('ann_dir', np.full((side, side), index))):
            path = root / folder / f'{index}.png'
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(path)
    return root


@pytest.mark.parametrize('indices', [5, [0, 5, 10, 15], [1, 1, 6], -6, [3, 2, 8, -1, 7]])
@pytest.mark.parametrize('seed', range(4))
def test_windows_that_are_chosen_are_paired_with_other_images(tmp_path, indices, seed):
    dataset = build(large(tmp_path), window=32, indices=indices, seed=seed)
    every = [divmod(entry, 4) for entry in range(16)]
    chosen = every[:5] if indices == 5 else every[-6:] if indices == -6 else None
    chosen = [every[one] for one in indices] if chosen is None else chosen
    assert len(dataset) == len(chosen)
    for place, (image, window) in enumerate(chosen):
        pair = dataset[place]
        before, after = (int(one) for one in halves(tmp_path, pair))
        assert before == image
        assert after != image
        assert after in {one for one, _ in chosen}
        assert len(np.unique(pair['img'].reshape(-1, 6), axis=0)) == 1
        assert pair['img'][0, 0].tolist() == [before, window, 0, after, window, 0]
        assert np.unique(pair['gt_seg_map_to']).tolist() == [(after - 1) % 256]
        top, left = divmod(window, 2)
        assert pair['sample_id'] == f'{before}-{after}_x{32 * left}_y{32 * top}'
    subset = dataset.get_subset([0, len(dataset) - 1])
    assert all(len(set(halves(tmp_path, subset[one]))) == 2 for one in range(2))


@pytest.mark.parametrize('redraw', [False, True])
def test_an_image_that_indices_repeat_is_not_paired_with_itself(root, redraw):
    for seed in range(6):
        dataset = build(root, indices=[0, 2, 2, 0, 3], seed=seed, redraw=redraw)
        for epoch in range(4):
            dataset.set_epoch(epoch)
            pairs = [halves(root, dataset[place]) for place in range(5)]
            assert all(before != after for before, after in pairs)
            assert {name for pair in pairs for name in pair} == {'a', 'd', 'sub/c'}


@pytest.mark.parametrize(
    'options', [dict(indices=[1, 1]), dict(indices=[1, -3], redraw=True), dict(window=1, indices=4)]
)
def test_a_choice_of_one_image_is_refused(root, options):
    with pytest.raises(ValueError, match='indices leave 1; choose entries of other images'):
        build(root, **options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(fold=dict(every=2, keep='rest')), 'images of both sides'),
        (dict(data_prefix=dict(img_path_from='x')), 'one folder of images'),
        (dict(zero_is='sky'), 'zero_is'),
        *[(dict(seed=one), f'seed has to be .* got {one!r}') for one in (-1, 'a', None, 1.5)],
        (dict(ann_file='one.txt'), 'has 1 image .*expected two or more'),
    ],
)
def test_options_that_do_not_fit(root, options, message):
    (root / 'one.txt').write_text('a\n')
    with pytest.raises(ValueError, match=message):
        build(root, **options)
