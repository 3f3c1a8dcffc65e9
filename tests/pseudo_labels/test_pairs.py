import numpy as np
import pytest
from conftest import write_image, write_label
from PIL import Image

from tfinet_mm.datasets.annotations import LoadedLabels
from tfinet_mm.errors import (
    ClassMismatchError,
    ImageFormatError,
    LabelFormatError,
    MissingLabelsError,
    UnmatchedPairError,
)
from tfinet_mm.pseudo_labels.pairs import PairsToLabel, known_labels
from tfinet_mm.structures import HRSCD, LANDSAT_SCD, SECOND

PIPELINE = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs'),
]


def second_config(root, **options):
    return dict(type='tfinet_mm.SECONDDataset', data_root=str(root), pipeline=PIPELINE, **options)


def test_images_come_without_augmentation_and_labels_as_annotated(second):
    pairs, written = second
    assert pairs.names == ['a', 'f', 'g', 'sub dir/b.c d', 'sub dir/e']
    assert pairs.table == SECOND
    for pair in pairs:
        arrays = written[pair.sample_id]
        np.testing.assert_array_equal(pair.inputs[:3].permute(1, 2, 0), arrays['before'])
        np.testing.assert_array_equal(pair.inputs[3:].permute(1, 2, 0), arrays['after'])
        np.testing.assert_array_equal(pair.labels[0], arrays['label_from'])
        np.testing.assert_array_equal(pair.labels[1], arrays['label_to'])
        np.testing.assert_array_equal(pair.unchanged, arrays['change'] == 0)
        assert pairs.truth(0) is None


def test_what_an_annotation_knows():
    loaded = LoadedLabels(
        change=np.array([[0, 0, 1, 1, 255, 255]], np.uint8),
        cover_from=np.array([[255, 3, 0, 255, 255, 2]], np.uint8),
        cover_to=np.array([[255, 255, 5, 4, 255, 2]], np.uint8),
    )
    before, after = known_labels(loaded)
    assert before.tolist() == [[0, 4, 1, 255, 255, 3]]
    assert after.tolist() == [[0, 0, 6, 5, 255, 3]]
    assert before.dtype == after.dtype == np.uint8


def test_pixels_that_the_labels_contradict_each_other_about_are_silent(
    tmp_path, make_scd, make_config
):
    make_scd(['a'], (2, 3), root='data')
    write_label(tmp_path / 'data/label1/a.png', np.array([[0, 1, 0], [2, 0, 0]], np.uint8), 'rgb')
    write_label(tmp_path / 'data/label2/a.png', np.array([[0, 0, 3], [2, 0, 0]], np.uint8), 'rgb')
    (pair,) = PairsToLabel(make_config(second_config(tmp_path / 'data')))
    assert pair.labels[0].tolist() == pair.labels[1].tolist() == [[0, 255, 255], [2, 0, 0]]
    assert pair.unchanged.tolist() == [[True, False, False], [False, True, True]]


def test_land_cover_everywhere_and_windows(tmp_path, make_config):
    rng = np.random.default_rng(0)
    cover = rng.integers(0, 6, (2, 8, 12)).astype(np.uint8)
    change = rng.integers(0, 2, (8, 12)).astype(np.uint8)
    for folder in ('im1', 'im2'):
        image = rng.integers(0, 256, (8, 12, 3)).astype(np.uint8)
        write_image(tmp_path / folder / 'tile.1.png', image)
    for folder, label in (('c1', cover[0]), ('c2', cover[1]), ('mask', change)):
        write_label(tmp_path / folder / 'tile.1.png', label, 'index')
    dataset = dict(
        type='tfinet_mm.HRSCDDataset',
        data_root=str(tmp_path),
        data_prefix=dict(
            img_path_from='im1',
            img_path_to='im2',
            seg_map_path_from='c1',
            seg_map_path_to='c2',
            seg_map_path='mask',
        ),
        img_suffix='.png',
        seg_map_suffix='.png',
        window=(4, 6),
        pipeline=PIPELINE,
    )
    truth = [tmp_path / 'c1', tmp_path / 'c2']
    pairs = PairsToLabel(make_config(dataset), land_cover=truth)
    assert pairs.table == HRSCD
    assert pairs.names == [f'tile.1_x{x}_y{y}' for y in (0, 4) for x in (0, 6)]
    part = (slice(4, 8), slice(6, 12))
    pair = pairs[3]
    for date in (0, 1):
        expected = [
            [(c if c else (255 if changed else 0)) for c, changed in zip(row, mask, strict=True)]
            for row, mask in zip(cover[date][part], change[part], strict=True)
        ]
        assert pair.labels[date].tolist() == expected
        np.testing.assert_array_equal(pairs.truth(3)[date], cover[date][part])


def test_transitions_are_labels_of_both_dates(tmp_path, make_config):
    transitions = np.arange(10, dtype=np.uint8).reshape(2, 5)
    for folder in ('A', 'B'):
        write_image(tmp_path / folder / 'x.png', np.zeros((2, 5, 3), np.uint8))
    write_label(tmp_path / 'label/x.png', transitions, 'index')
    dataset = dict(type='tfinet_mm.LandsatSCDDataset', data_root=str(tmp_path), pipeline=PIPELINE)
    pairs = PairsToLabel(make_config(dataset))
    assert pairs.table == LANDSAT_SCD
    assert pairs[0].labels[0].ravel().tolist() == [0, 1, 1, 2, 2, 2, 3, 3, 4, 4]
    assert pairs[0].labels[1].ravel().tolist() == [0, 2, 3, 1, 3, 4, 1, 2, 1, 2]


@pytest.mark.parametrize('cropped', [False, True])
def test_each_data_set_keeps_the_way_its_images_are_read(tmp_path, make_scd, make_config, cropped):
    written = {
        name: make_scd([name], (4, 4), root=name, dtype=np.uint16, bands=5, suffix='.tif')[name]
        for name in ('one', 'two')
    }
    parts = []
    for name, high in (('one', 4000), ('two', 2000)):
        loader = dict(type='tfinet_mm.LoadImagePair', bands=[5, 1, 2], value_range=(0, high))
        config = second_config(tmp_path / name, img_suffix='.tif')
        steps = [loader, *PIPELINE[1:]]
        if cropped:
            # Whole pairs are labelled, read as the crops are.
            crop = dict(type='tfinet_mm.LoadCroppedPair', crop_size=2, min_change=0.1)
            steps = [loader | crop, PIPELINE[-1]]
        parts.append({**config, 'pipeline': steps})
    dataset = dict(
        type='RepeatDataset', times=3, dataset=dict(type='ConcatDataset', datasets=parts)
    )
    pairs = PairsToLabel(make_config(dataset))
    assert pairs.names == ['one', 'two']
    for pair, high in zip(pairs, (4000, 2000), strict=True):
        image = written[pair.sample_id]['before'][..., [4, 0, 1]].astype(np.float64)
        expected = np.clip(image * 255 / high, 0, 255)
        np.testing.assert_allclose(pair.inputs[:3].permute(1, 2, 0), expected, rtol=1e-5)


@pytest.mark.parametrize('labels_first', [False, True])
def test_the_test_pipeline_may_resize(tmp_path, make_scd, make_config, labels_first):
    written = make_scd(['a'], (6, 8), root='data')
    resize = dict(type='mmcv.Resize', scale_factor=2.0)
    steps = [PIPELINE[1], resize] if labels_first else [resize, PIPELINE[1]]
    pipeline = [PIPELINE[0], *steps, PIPELINE[2]]
    (pair,) = PairsToLabel(make_config(second_config(tmp_path / 'data'), pipeline))
    assert pair.inputs.shape == (6, 12, 16)
    assert tuple(pair.metainfo['ori_shape']) == (6, 8)
    np.testing.assert_array_equal(pair.labels[0], written['a']['label_from'])


@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_split_without_other_data(tmp_path, make_scd, make_config, split):
    make_scd(['a'], (6, 8), root='data')
    config = make_config(second_config(tmp_path / 'data'), split='val')
    if split == 'train':
        config.train_dataloader = config.pop('val_dataloader')
    (pair,) = PairsToLabel(config, split)
    assert pair.inputs.shape == (6, 6, 8)


def test_the_embedded_data_have_their_truth(tmp_path, make_scd, make_config):
    make_scd(['a', 'b'], (4, 4), root='data')
    cover = np.random.default_rng(3).integers(1, 7, (2, 2, 4, 4)).astype(np.uint8)
    for folder, maps in zip(('cover1', 'cover2'), cover, strict=True):
        for name, label in zip('ab', maps, strict=True):
            write_label(tmp_path / 'data' / folder / f'{name}.png', label, 'palette')
    config = second_config(tmp_path / 'data') | dict(type='tfinet_mm.SyntheticSCDDataset')
    pairs = PairsToLabel(make_config(config))
    np.testing.assert_array_equal(pairs.truth(1), cover[:, 1])
    # Other data sets have no such folders by default; where they are read, no file may be missing.
    assert PairsToLabel(make_config(second_config(tmp_path / 'data'))).truth(1) is None
    (tmp_path / 'data/cover2/b.png').unlink()
    with pytest.raises(UnmatchedPairError, match="to lacks 'b'"):
        PairsToLabel(make_config(config))


def test_no_data_of_that_split(make_config):
    with pytest.raises(ValueError, match='has no val_dataloader'):
        PairsToLabel(make_config(second_config('x')), 'val')


def test_an_empty_data_set(tmp_path, make_scd, make_config):
    make_scd(['a'], (4, 4), root='data')
    with pytest.raises(ValueError, match='a number of pairs other than 0'):
        PairsToLabel(make_config(second_config(tmp_path / 'data', indices=0)))
    for path in (tmp_path / 'data/im1').iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match='im1'):
        PairsToLabel(make_config(second_config(tmp_path / 'data')))


def test_two_pairs_of_one_name(tmp_path, make_scd, make_config):
    parts = [second_config(tmp_path / name) for name in ('one', 'two')]
    make_scd(['a', 'b'], (4, 4), root='one')
    make_scd(['b', 'c'], (4, 4), root='two')
    with pytest.raises(ValueError, match=r'1 pairs .* share their names, .*: b; label one'):
        PairsToLabel(make_config(dict(type='ConcatDataset', datasets=parts)))


def test_data_sets_of_other_classes(tmp_path, make_scd, make_config):
    parts = [second_config(tmp_path / name) for name in ('one', 'two')]
    parts[1]['semantic_classes'] = ('none', 'a', 'b', 'c', 'd', 'e', 'f')
    for name in ('one', 'two'):
        make_scd([name], (4, 4), root=name)
    # Wrappers that keep the first data set's metainfo would hide the difference.
    wrapped = dict(type='ConcatDataset', datasets=parts, ignore_keys=['semantic_classes'])
    with pytest.raises(ClassMismatchError, match=r"'sports field'\) and \('none', 'a'"):
        PairsToLabel(make_config(wrapped))


def test_files_that_can_not_be_used(tmp_path, make_scd, make_config):
    make_scd(['a', 'b', 'c', 'd'], (4, 6), root='data')
    (tmp_path / 'data/im2/a.png').write_bytes(b'\x89PNG\r\n\x1a\n, and then nothing')
    (tmp_path / 'data/label2/b.png').write_bytes(b'\x89PNG\r\n\x1a\n, and then nothing')
    for folder in ('label1', 'label2'):
        label = Image.fromarray(np.full((3, 5, 3), 255, np.uint8))
        label.save(tmp_path / 'data' / folder / 'c.png')
    pairs = PairsToLabel(make_config(second_config(tmp_path / 'data')))
    with pytest.raises(ImageFormatError, match=r'im2/a\.png'):
        pairs[0]
    with pytest.raises(LabelFormatError, match=r'label2/b\.png'):
        pairs[1]
    with pytest.raises(LabelFormatError, match=r'label1/c\.png is 5 x 3 .*im1/c\.png is 6 x 4'):
        pairs[2]


def test_pairs_without_labels(tmp_path, make_scd, make_config):
    make_scd(['a'], (4, 6), root='data')
    nothing = dict(seg_map_path_from=None, seg_map_path_to=None)
    config = second_config(tmp_path / 'data', data_prefix=nothing, test_mode=True)
    with pytest.raises(MissingLabelsError, match='a has no labels: pseudo labels need'):
        PairsToLabel(make_config(config, split='test'), 'test')[0]
