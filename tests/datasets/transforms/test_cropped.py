import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SCDDataset, SECONDDataset
from tfinet_mm.datasets.check import check_dataset, load_pair
from tfinet_mm.datasets.transforms import LoadCroppedPair, cropped
from tfinet_mm.errors import ConfigError, LabelFormatError
from tfinet_mm.io.images import read_image
from tfinet_mm.structures import SECOND

OPTIONS = dict(type='tfinet_mm.LoadCroppedPair', crop_size=(12, 16))
COUNTED = {'label_combinations', 'label_conflicts', 'label_unknown'}


@pytest.fixture(autouse=True)
def forget():
    """Forget the sizes of files of the test before."""
    yield
    cropped._size.cache_clear()
    cropped._windowed.cache_clear()


@pytest.fixture
def pairs(make_scd, tmp_path):
    """Write two pairs of 40 x 50 pixels as PNG, and again as tiled TIFF; return options of each."""
    rasterio = pytest.importorskip('rasterio')
    make_scd(names=['a', 'b'], sizes=(40, 50), mask='0/255', storage='index')
    for file in sorted(tmp_path.rglob('*.png')):
        if file.parent.name.startswith('label'):
            # Change in the lower right alone, so that few crops have enough of it.
            label = np.asarray(Image.open(file)).copy()
            label[:20] = label[:, :25] = 0
            Image.fromarray(label).save(file)
        elif file.parent.name == 'change':
            continue
        array = np.atleast_3d(np.asarray(Image.open(file))).transpose(2, 0, 1)
        target = tmp_path / 'tif' / file.relative_to(tmp_path).with_suffix('.tif')
        target.parent.mkdir(parents=True, exist_ok=True)
        tiles = dict(tiled=True, blockxsize=16, blockysize=16, compress='deflate')
        size = dict(width=50, height=40, count=len(array), dtype='uint8')
        with rasterio.open(target, 'w', driver='GTiff', **size, **tiles) as out:
            out.write(array)
    tif = dict(data_root=str(tmp_path / 'tif'), img_suffix='.tif', seg_map_suffix='.tif')
    return dict(png=dict(data_root=str(tmp_path)), tif=tif)


def steps(**options):
    """Return the three transforms that do the same."""
    loads = {k: options.pop(k) for k in ('bands', 'value_range') if k in options}
    return [
        dict(type='tfinet_mm.LoadImagePair', **loads),
        dict(type='tfinet_mm.LoadPairAnnotations'),
        dict(OPTIONS, type='tfinet_mm.RandomCropWithChange', **options),
    ]


@pytest.mark.parametrize('kind', ['png', 'tif'])
@pytest.mark.parametrize('window', [None, (30, 40)], ids=['whole', 'windows'])
@pytest.mark.parametrize(
    'options',
    [{}, dict(min_change=0.3), dict(bands=[3, 1], value_range=(10, 200)), dict(crop_size=(30, 9))],
    ids=['plain', 'change', 'bands', 'tall'],
)
def test_crops_are_those_of_the_three_transforms(pairs, kind, window, options):
    given = dict(**pairs[kind], window=window)
    fused = SECONDDataset(**given, pipeline=[OPTIONS | options])
    plain = SECONDDataset(**given, pipeline=steps(**options))
    boxes = set()
    for index in range(len(plain)):
        for seed in range(6):
            random.seed(seed)
            expected, after = plain[index], random.random()
            random.seed(seed)
            found = fused[index]
            assert random.random() == after  # as many numbers were drawn
            assert set(found) == set(expected)
            for key in set(expected) - COUNTED - {'label_spec', 'label_storages'}:
                np.testing.assert_array_equal(found[key], expected[key], err_msg=key)
            assert found['label_combinations'] <= expected['label_combinations']
            assert found['img'].flags['C_CONTIGUOUS']
            boxes.add(found['crop_bbox'])
    assert len(boxes) > 4


def test_pixels_without_data(pairs, tmp_path):
    """Of both files together: TIFF labels by crop, PNG labels whole."""
    for kind in ('png', 'tif'):
        for change in (0.0, 0.3):
            given = dict(
                **pairs[kind],
                no_data=[
                    tuple(
                        read_image(SECONDDataset(**pairs[kind]).get_data_info(0)['img_path'][0])[
                            30, 40
                        ].tolist()
                    )
                ],
            )
            made = []
            for pipeline in ([OPTIONS | dict(min_change=change)], steps(min_change=change)):
                random.seed(3)
                made.append(SECONDDataset(**given, pipeline=pipeline)[0])
            for key in ('gt_seg_map', 'gt_seg_map_from', 'gt_seg_map_to'):
                np.testing.assert_array_equal(made[0][key], made[1][key])


def test_change_masks_and_images_without_labels(pairs, tmp_path):
    masks = dict(seg_map_path_from=None, seg_map_path_to=None)
    options = dict(data_root=str(tmp_path), data_prefix=masks | dict(seg_map_path='change'))
    found = SCDDataset(**options, pipeline=[OPTIONS | dict(min_change=0.1)])[0]
    assert found['seg_fields'] == ['gt_seg_map']
    bare = dict(data_root=str(tmp_path), data_prefix=masks, test_mode=True)
    assert SECONDDataset(**bare, pipeline=[OPTIONS])[0]['img'].shape == (12, 16, 6)
    with pytest.raises(ConfigError, match='the pair has no labels'):
        SECONDDataset(**bare, pipeline=[OPTIONS | dict(min_change=0.1)])[0]


@pytest.mark.parametrize('change', [0.0, 0.01])
def test_other_tiles_are_not_read(pairs, monkeypatch, change):
    """A crop of the lower right is read though the tile of the upper left is damaged."""
    rasterio = pytest.importorskip('rasterio')
    dataset = SECONDDataset(**pairs['tif'], pipeline=[OPTIONS | dict(min_change=change)])
    info = dataset.get_data_info(0)
    for path in (*info['img_path'], info['seg_map_path_from'], info['seg_map_path_to']):
        with rasterio.open(path) as file:
            offset = int(file.get_tag_item('BLOCK_OFFSET_0_0', 'TIFF', bidx=1))
        data = bytearray(Path(path).read_bytes())
        data[offset : offset + 8] = bytes(8)
        Path(path).write_bytes(data)
    box = (22, 34, 32, 48)
    monkeypatch.setattr('random.randint', lambda low, high: {28: 22, 34: 32}[high])
    found = dataset[0]
    assert found['crop_bbox'] == (box[0], box[1], box[2], 48)
    monkeypatch.setattr('random.randint', lambda low, high: 0)
    with pytest.raises(Exception, match='can not be read'):
        dataset[0]


def test_files_of_different_sizes_are_refused_before_they_are_cropped(pairs, tmp_path):
    Image.fromarray(np.zeros((41, 50), np.uint8)).save(tmp_path / 'label2' / 'a.png')
    with pytest.raises(LabelFormatError, match=r'of one size.* 50 x 40, .*label2/a\.png 50 x 41'):
        SECONDDataset(**pairs['png'], pipeline=[OPTIONS])[0]


def test_small_images(pairs):
    large = OPTIONS | dict(crop_size=45)
    with pytest.raises(ValueError, match='45 x 45 pixels is larger than the image a, 40 x 50'):
        SECONDDataset(**pairs['tif'], pipeline=[large])[0]
    kept = SECONDDataset(**pairs['tif'], pipeline=[large | dict(keep_smaller=True)])[0]
    assert kept['img_shape'] == (40, 45)


def test_pairs_that_are_loaded_are_refused(pairs):
    arrays = dict(img_path=[np.zeros((40, 50, 3), np.uint8)] * 2)
    with pytest.raises(ConfigError, match='first transform'):
        LoadCroppedPair(8)(arrays)
    pipeline = [dict(type='tfinet_mm.LoadImagePair'), OPTIONS]
    with pytest.raises(ConfigError, match='first transform'):
        SECONDDataset(**pairs['png'], pipeline=pipeline)[0]
    assert 'crop_size=(8, 8), min_change=0.0' in repr(LoadCroppedPair(8))


def test_the_check_counts_whole_pairs(pairs):
    pack = dict(type='tfinet_mm.PackPairInputs')
    reports = [
        check_dataset(SECONDDataset(**pairs['tif'], pipeline=[*pipeline, pack]), progress=iter)
        for pipeline in ([OPTIONS], steps())
    ]
    assert not [one for one in reports[0].problems if one.level == 'error']
    np.testing.assert_array_equal(reports[0].class_counts, reports[1].class_counts)
    assert reports[0].sizes == {(40, 50): 2}
    assert reports[0].class_counts.shape == (2, SECOND.num_classes)
    whole = load_pair(SECONDDataset(**pairs['tif'], pipeline=[OPTIONS, pack]), 0)
    assert whole['img'].shape == (40, 50, 6)
