"""Test mosaics against arrays put together by hand, and rasterio's merge."""

import shutil

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.mosaic import write_mosaic
from tfinet_mm.scenes.reader import ScenePair, input_files

rasterio = pytest.importorskip('rasterio')
from rasterio.merge import merge

EAST, NORTH = 500_000, 5_000_000
# Column, row, width and height of four tiles: two overlap, one corner of 60 x 50 is in none.
PLACES = [(0, 0, 30, 25), (25, 0, 35, 25), (0, 20, 30, 30)]


@pytest.fixture
def tiles(scene, smooth):
    """Write parts of one image, the overlaps in values of their own."""

    def write(count=3, **options):
        paths, parts = [], []
        for number, (left, top, width, height) in enumerate(PLACES):
            part = smooth(height, width, number, bands=count)
            parts.append(part)
            place = dict(x=EAST + 10 * left, y=NORTH - 10 * top)
            paths.append(scene(f'tile {number}&1', part, **place, **options))
        return paths, parts

    return write


def put_together(parts, shown):
    values = np.zeros((3, 50, 60), np.uint8)
    valid = np.zeros((50, 60), bool)
    for part, seen, (left, top, width, height) in zip(parts, shown, PLACES, strict=True):
        box = np.s_[top : top + height, left : left + width]
        values[:, *box] = np.where(seen, part[:3], values[:, *box])
        valid[box] |= seen
    return values, valid


def check(target, values, valid, scene, smooth, shift=0.0):
    """Read the mosaic as a date of a scene that covers it."""
    other = scene('other', smooth(60, 70, 9), x=EAST - 50 + shift, y=NORTH + 50)
    with ScenePair(target, other) as pair:
        found, seen = pair.read()
    np.testing.assert_array_equal(seen, valid)
    np.testing.assert_array_equal(found[:3, valid], values[:, valid])


def test_tiles_and_the_ground_that_none_covers(tiles, scene, smooth, tmp_path):
    paths, parts = tiles()
    target = tmp_path / 'out' / 'mosaic.vrt'
    target.parent.mkdir()
    write_mosaic(target, paths)
    check(target, *put_together(parts, [True] * 3), scene, smooth)
    merged, place = merge(paths, method='last')
    with rasterio.open(target) as file:
        np.testing.assert_array_equal(file.read(), merged)
        assert file.transform.almost_equals(place)
    assert sorted(input_files(target)) == sorted(map(str, [target, *paths]))
    # Relative paths: a folder with all of it may move.
    shutil.move(tmp_path, tmp_path.parent / 'moved')
    with rasterio.open(tmp_path.parent / 'moved' / 'out' / 'mosaic.vrt') as file:
        np.testing.assert_array_equal(file.read(), merged)


def test_nodata_shows_the_tile_below(tiles, scene, smooth, tmp_path):
    paths, parts = tiles(nodata=0)
    with rasterio.open(paths[1], 'r+') as file:
        parts[1][:, :, :3] = 0
        file.write(parts[1])
    write_mosaic(tmp_path / 'mosaic.vrt', paths)
    shown = [part.any(axis=0) for part in parts]
    assert not shown[1].all()
    check(tmp_path / 'mosaic.vrt', *put_together(parts, shown), scene, smooth)


@pytest.mark.parametrize('kind', ['mask', 'alpha'])
def test_masks_and_transparency_show_the_tile_below(tiles, scene, smooth, tmp_path, kind):
    options = dict(photometric='RGB', alpha='YES') if kind == 'alpha' else {}
    paths, parts = tiles(4 if kind == 'alpha' else 3, **options)
    shown = []
    for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
        seen = np.ones(part.shape[1:], bool)
        seen[:, : 3 * number] = False
        shown.append(seen)
        with rasterio.open(path, 'r+') as file:
            if kind == 'mask':
                file.write_mask(seen)
            else:
                part[3] = 255 * seen
                file.write(part)
    write_mosaic(tmp_path / 'mosaic.vrt', paths)
    check(tmp_path / 'mosaic.vrt', *put_together(parts, shown), scene, smooth)


def test_files_that_do_not_belong_together(tiles, scene, smooth, tmp_path):
    (first, *_), _ = tiles()
    for other, message in (
        (scene('shifted', smooth(9, 9), x=EAST + 3), r'other pixels than .*gdalwarp -tap'),
        (scene('utm', smooth(9, 9), crs='EPSG:32634'), r'EPSG:32634\) and .*EPSG:32633'),
        (scene('one', smooth(9, 9, bands=1)), r'other bands than .*\(1 and 3\)'),
        (scene('deep', smooth(9, 9, dtype=np.uint16)), 'other types than'),
        (scene('empty', smooth(9, 9), nodata=0), 'other nodata than'),
        (scene('far', smooth(9, 9), x=EAST + 10_000_000, y=0), 'give files of one place'),
    ):
        with pytest.raises(SceneError, match=message):
            write_mosaic(tmp_path / 'mosaic.vrt', [first, other])
    with pytest.raises(SceneError, match='ends in'):
        write_mosaic(tmp_path / 'mosaic.tif', [first, first])
    with pytest.raises(SceneError, match='two files or more, got 1'):
        write_mosaic(tmp_path / 'mosaic.vrt', [first])
    assert not list(tmp_path.glob('mosaic*'))
