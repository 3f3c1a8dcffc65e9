"""Test pairs whose change isn't labelled: land cover of one date, of both, or no labels."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SCDDataset
from tfinet_mm.datasets.check import check_dataset
from tfinet_mm.errors import LabelFormatError

COVER = np.array([[0, 1], [2, 3]], np.uint8)
TABLE = dict(
    semantic_classes=['no data', 'water', 'forest', 'built'],
    semantic_palette=[[0, 0, 0], [0, 0, 255], [0, 128, 0], [128, 0, 0]],
    label_storage='index',
)
BOTH = dict(seg_map_path_from='cover1', seg_map_path_to='cover2')
NONE = dict(seg_map_path_from=None, seg_map_path_to=None)
LOAD = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
KEYS = ('gt_seg_map', 'gt_seg_map_from', 'gt_seg_map_to')


@pytest.fixture
def root(tmp_path):
    for number, folder in enumerate(('im1', 'im2', 'cover1', 'cover2')):
        (tmp_path / folder).mkdir()
        label = COVER.T if folder == 'cover2' else COVER
        array = np.full((2, 2, 3), number, np.uint8) if number < 2 else label
        Image.fromarray(array).save(tmp_path / folder / 'a.png')
    return tmp_path


def build(root, prefix, **options):
    defaults = dict(label_semantics='land_cover', change_storage='unknown', pipeline=LOAD, **TABLE)
    return SCDDataset(data_root=str(root), data_prefix=prefix, **{**defaults, **options})


UNKNOWN = [[255, 255], [255, 255]]
FROM, TO = [[255, 0], [1, 2]], [[255, 1], [0, 2]]


@pytest.mark.parametrize(
    ('prefix', 'covers', 'said'),
    [
        (BOTH, (FROM, TO), 'train land cover alone'),
        (BOTH | dict(seg_map_path_to=None), (FROM, UNKNOWN), 'train land cover alone'),
        (BOTH | dict(seg_map_path_from=None), (UNKNOWN, TO), 'train land cover alone'),
        (NONE, (UNKNOWN, UNKNOWN), 'MeanTeacherHook'),
    ],
)
def test_maps_that_are_missing_are_unknown(root, prefix, covers, said):
    dataset = build(root, prefix)
    pair = dataset[0]
    assert [pair[key].tolist() for key in KEYS] == [UNKNOWN, *covers]
    assert set(KEYS) <= set(pair['seg_fields'])
    assert dataset.without_change
    assert dataset.without_labels == (prefix is NONE)
    report = check_dataset(dataset, progress=lambda pairs: pairs)
    assert report.ok, report.problems
    assert any(said in problem.message for problem in report.problems)


@pytest.mark.parametrize(
    ('prefix', 'options', 'message'),
    [
        (NONE | dict(seg_map_path='mask'), {}, 'has change masks'),
        (BOTH, dict(label_semantics='semantic_change'), "label_semantics='land_cover'"),
        (
            BOTH | dict(seg_map_path_to=None),
            dict(change_storage='auto'),
            "change_storage='unknown'",
        ),
        (NONE, dict(change_storage='auto'), "change_storage='unknown'"),
    ],
)
def test_options_that_contradict_each_other(root, prefix, options, message):
    with pytest.raises(ValueError, match=message):
        build(root, prefix, **options)


def test_the_size_of_a_pair_without_labels_is_that_of_its_images(root):
    dataset = build(root, NONE, pipeline=[dict(type='tfinet_mm.LoadPairAnnotations')])
    with pytest.raises(LabelFormatError, match='put LoadImagePair before'):
        dataset[0]


@pytest.mark.parametrize('prefix', [NONE, BOTH])
def test_pixels_without_data_follow_the_image(root, prefix):
    """Of a pair with labels, they are known by the labels, which are ignored there."""
    image = np.full((2, 2, 3), 9, np.uint8)
    image[0, 1] = 0
    Image.fromarray(image).save(root / 'im2' / 'a.png')
    moves = [dict(type='tfinet_mm.RandomFlipOrRotate'), dict(type='tfinet_mm.PackPairInputs')]
    dataset = build(root, prefix, no_data=[(0, 0, 0), (7, 7, 7)], pipeline=[*LOAD, *moves])
    first = np.full((2, 2, 3), 5, np.uint8)
    Image.fromarray(first).save(root / 'im1' / 'a.png')
    places = set()
    for _ in range(20):
        packed = dataset[0]
        missing = (packed['inputs'][3:] == 0).all(dim=0)
        assert int(missing.sum()) == 1
        places.add(missing.flatten().tolist().index(True))
        assert ('gt_no_data' in packed['data_samples']) == (prefix is NONE)
        if prefix is NONE:
            assert (packed['data_samples'].gt_no_data.data[0] == missing).all()
    assert len(places) > 1
    # Where every pixel has data, there is nothing to say.
    Image.fromarray(first).save(root / 'im2' / 'a.png')
    assert 'gt_no_data' not in dataset[0]['data_samples']
