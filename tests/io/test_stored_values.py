"""Test marks of cameras that say how a photo is turned."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import ImageFormatError
from tfinet_mm.io.images import read_image
from tfinet_mm.io.stored_values import check_same_turn

ORIENTATION = 0x0112


@pytest.fixture
def photo(tmp_path):
    def write(name, turn=None):
        exif = Image.Exif()
        if turn is not None:
            exif[ORIENTATION] = turn
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name, exif=exif)
        return tmp_path / name

    return write


@pytest.mark.parametrize('suffix', ['jpg', 'webp'])
def test_photos_in_two_directions_are_refused(photo, suffix):
    """Of a square picture, or one turned by 180 degrees, the sizes say nothing."""
    upright, turned = photo(f'one.{suffix}', 1), photo(f'two.{suffix}', 3)
    for other in (upright, photo(f'plain.{suffix}'), np.zeros((8, 8, 3))):
        with pytest.raises(ImageFormatError, match=rf'two\.{suffix} has 3'):
            check_same_turn([other, turned])


def test_photos_in_one_direction_are_not(photo, tmp_path):
    check_same_turn([photo('one.jpg', 6), photo('two.jpg', 6)])
    check_same_turn([photo('three.jpg', 1), photo('four.jpg')])
    check_same_turn([photo('five.jpg', 1), photo('six.png')])
    (tmp_path / 'cut.jpg').write_bytes((tmp_path / 'one.jpg').read_bytes()[:30])
    check_same_turn([tmp_path / 'cut.jpg', tmp_path / 'four.jpg'])


def test_pages_of_a_picture_are_told(tmp_path, recwarn):
    pytest.importorskip('rasterio')
    pages = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (10, 200)]
    pages[0].save(tmp_path / 'one.tif')
    assert (read_image(tmp_path / 'one.tif') == 10).all()
    assert not recwarn
    pages[0].save(tmp_path / 'two.tif', save_all=True, append_images=pages[1:])
    with pytest.warns(UserWarning, match=r'two.tif has 2 pages, of which the first is read'):
        assert (read_image(tmp_path / 'two.tif') == 10).all()
