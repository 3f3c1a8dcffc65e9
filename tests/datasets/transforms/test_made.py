"""Test pairs that are made of two images of different places."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SingleDateDataset
from tfinet_mm.datasets.transforms import LoadMadePair
from tfinet_mm.errors import ImageFormatError, LabelFormatError, LabelValueError

TABLE = dict(
    semantic_classes=['no data', 'water', 'forest', 'built'],
    semantic_palette=[[0, 0, 0], [0, 0, 255], [0, 128, 0], [128, 0, 0]],
    label_storage='index',
)
SIDE = 32


def write(root, name, cover, grey=None):
    """Write an image whose red band has the class times 50, and its label."""
    image = np.zeros((*cover.shape, 3), np.uint8)
    image[..., 0] = cover * 50
    image[..., 1] = 100 if grey is None else grey
    for folder, array in (('img_dir', image), ('ann_dir', cover)):
        path = root / folder / f'{name}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(path)


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(5):
        blocks = rng.integers(1, 4, (4, 4)).astype(np.uint8)
        cover = np.kron(blocks, np.ones((8, 8), np.uint8))
        cover[:2] = 0
        write(tmp_path, f'p{number}', cover, grey=10 * number)
    return tmp_path


def build(root, redraw=True, window=None, **options):
    return SingleDateDataset(
        data_root=str(root),
        pipeline=[LoadMadePair(**options)],
        redraw=redraw,
        window=window,
        **TABLE,
    )


def position(root):
    """Write images whose green and blue bands are the row and the column of each pixel."""
    rows, columns = np.indices((SIDE, SIDE)).astype(np.uint8)
    for path in sorted((root / 'img_dir').iterdir()):
        image = np.stack([np.full_like(rows, int(path.stem[1:])), rows, columns], axis=-1)
        Image.fromarray(image).save(path)


def test_two_places_differ_where_their_classes_do(root):
    for pair in build(root, method='places'):
        before, after = pair['gt_seg_map_from'], pair['gt_seg_map_to']
        unknown = (before == 255) | (after == 255)
        assert np.array_equal(pair['gt_seg_map'], np.where(unknown, 255, before != after))
        assert np.array_equal(pair['img'][..., 0], (before.astype(int) + 1) % 256 * 50)
        assert np.array_equal(pair['img'][..., 3], (after.astype(int) + 1) % 256 * 50)
        assert pair['made'] == 'places'


def test_all_but_the_pasted_regions_is_really_unchanged(root):
    options = dict(method='paste', light=0, edge=0, regions=(1, 2), area=(0.02, 0.2))
    shares = []
    for pair in build(root, **options):
        before, after = pair['img'][..., :3], pair['img'][..., 3:]
        change, covers = pair['gt_seg_map'], (pair['gt_seg_map_from'], pair['gt_seg_map_to'])
        # The green band is a number of the image, so that it shows what was pasted.
        pasted = before[..., 1] != after[..., 1]
        assert np.array_equal(before[~pasted], after[~pasted])
        assert (change[~pasted] == 0).all()
        known = covers[0] != 255
        same = covers[0] == covers[1]
        assert (change[pasted & known & ~same] == 1).all()
        assert (change[pasted & (same | ~known)] == 255).all()
        assert np.array_equal(after[..., 0][pasted], 50 * (covers[1][pasted] + 1))
        shares.append(pasted.mean())
    assert all(0 < share <= 0.4 for share in shares)


def test_the_light_of_the_image_after_differs(root):
    pair = build(root, method='paste', light=0.5)[0]
    unchanged = pair['gt_seg_map'] == 0
    before, after = pair['img'][..., :3][unchanged], pair['img'][..., 3:][unchanged]
    assert not np.array_equal(before, after)
    # The same ground in the same colour is in one other colour after.
    assert len(np.unique(np.hstack([before, after]), axis=0)) == len(np.unique(before, axis=0))


def test_seed_epoch_and_index_decide_a_pair(root):
    first, second = build(root, method='either'), build(root, method='either')
    assert all(np.array_equal(first[i]['img'], second[i]['img']) for i in range(5))
    second.set_epoch(3)
    differ = [not np.array_equal(first[i]['img'], second[i]['img']) for i in range(5)]
    assert sum(differ) >= 4
    first.set_epoch(3)
    np.random.default_rng(7)
    assert all(np.array_equal(first[i]['img'], second[i]['img']) for i in (4, 2, 0, 1, 3))
    made = {build(root, method='either')[i]['made'] for i in range(5)}
    assert made == {'places', 'paste'}


def test_parts_of_images_of_several_sizes(root):
    write(root, 'large', np.kron(np.arange(1, 4, dtype=np.uint8), np.ones((40, 20), np.uint8)))
    dataset = build(root, method='places')
    with pytest.raises(ImageFormatError, match=r'60 x 40 .* set crop_size'):
        list(dataset)
    dataset = build(root, method='places', crop_size=(16, 24))
    for pair in dataset:
        assert pair['img'].shape == (16, 24, 6)
        known = pair['gt_seg_map_to'] != 255
        assert np.array_equal(pair['img'][..., 3][known], 50 * (pair['gt_seg_map_to'][known] + 1))
    write(root, 'small', np.ones((8, 30), np.uint8))
    with pytest.raises(ImageFormatError, match=r'30 x 8 pixels .* smaller than crop_size'):
        list(build(root, crop_size=(16, 24)))


def test_windows_of_both_images(root):
    position(root)
    dataset = build(root, redraw=False, window=(16, 8), method='places')
    assert len(dataset) == 5 * 8
    for index in range(len(dataset)):
        left, top, *_ = dataset.get_data_info(index)['window']
        pair = dataset[index]
        assert pair['img'].shape == (16, 8, 6)
        rows, columns = np.indices((16, 8))
        labels = [
            np.array(Image.open(path.replace('img_dir', 'ann_dir'))) for path in pair['img_path']
        ]
        for date, key in enumerate(('gt_seg_map_from', 'gt_seg_map_to')):
            assert np.array_equal(pair['img'][..., 3 * date + 1], rows + top)
            assert np.array_equal(pair['img'][..., 3 * date + 2], columns + left)
            cut = labels[date][top : top + 16, left : left + 8].astype(int)
            assert np.array_equal(pair[key], (cut - 1) % 256)


def test_parts_of_windows(root):
    position(root)
    dataset = build(root, redraw=False, window=16, crop_size=8, method='places')
    seen = set()
    for index in range(len(dataset)):
        left, top, *_ = dataset.get_data_info(index)['window']
        image = dataset[index]['img']
        assert image.shape == (8, 8, 6)
        for row, column in ((image[..., 1], image[..., 2]), (image[..., 4], image[..., 5])):
            assert top <= row.min() <= row.max() < top + 16
            assert left <= column.min() <= column.max() < left + 16
            seen.add((int(row.min()) - top, int(column.min()) - left))
    assert len(seen) > 10
    with pytest.raises(ImageFormatError, match=r'window of 16 x 16 .* smaller than crop_size'):
        build(root, redraw=False, window=16, crop_size=24)[0]


def test_a_window_outside_of_the_other_image(root):
    write(root, 'p2', np.ones((SIDE // 2, SIDE), np.uint8))
    dataset = build(root, redraw=False, window=16, method='places')
    with pytest.raises(ImageFormatError, match=r'p2.png is 32 x 16 .* \(\d+, 16\) of 16 x 16'):
        list(dataset)


def test_labels_that_do_not_fit(root):
    Image.fromarray(np.ones((9, 9), np.uint8)).save(root / 'ann_dir/p1.png')
    with pytest.raises(LabelFormatError, match=r'9 x 9 pixels .* 32 x 32'):
        list(build(root, method='places'))
    Image.fromarray(np.full((SIDE, SIDE), 7, np.uint8)).save(root / 'ann_dir/p1.png')
    with pytest.raises(LabelValueError, match='7'):
        list(build(root, method='places'))


def test_pixels_without_data_are_ignored(root):
    dataset = SingleDateDataset(
        data_root=str(root),
        no_data=[[0, 20, 0]],
        pipeline=[LoadMadePair(method='paste', edge=0)],
        redraw=True,
        **TABLE,
    )
    # The first rows of image 2 have this colour.
    index = next(i for i in range(5) if 'p2' in dataset.get_data_info(i)['img_path'][0])
    pair = dataset[index]
    assert (pair['gt_seg_map'][:2] == 255).all()
    assert (pair['gt_seg_map'][2:] == 0).any()


@pytest.mark.parametrize(
    'options',
    [
        dict(method='mix'),
        dict(regions=(0, 2)),
        dict(regions=3),
        dict(area=(0.5, 0.2)),
        dict(area=(0, 0.2)),
        dict(edge=-1),
        dict(light=2),
        dict(crop_size=0),
    ],
)
def test_options_out_of_range(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=name):
        LoadMadePair(**options)


def test_a_pair_of_another_data_set_is_refused():
    with pytest.raises(ValueError, match='SingleDateDataset'):
        LoadMadePair()(dict(img_path=['a.png', 'b.png']))
