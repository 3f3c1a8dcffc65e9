"""Test label maps as colours and as files."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import LabelValueError
from tfinet_mm.structures import LANDSAT_SCD, SECOND
from tfinet_mm.visualization import colourise, write_palette_png, write_png


def test_palette_png_has_classes_as_values_and_their_colours(tmp_path):
    labels = np.arange(7, dtype=np.int64).repeat(3).reshape(3, 7)
    path = tmp_path / 'sub dir' / 'a.b ç.png'
    write_palette_png(path, labels, SECOND.palette)
    with Image.open(path) as image:
        assert image.mode == 'P'
        np.testing.assert_array_equal(np.asarray(image), labels)
        expected = [[SECOND.palette[c] for c in row] for row in labels]
        np.testing.assert_array_equal(np.asarray(image.convert('RGB')), expected)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_independent_reader_sees_the_colours(tmp_path):
    labels = np.array([[0, 1], [3, 4]], np.uint8)
    write_palette_png(tmp_path / 'a.png', labels, LANDSAT_SCD.palette)
    seen = cv2.cvtColor(cv2.imread(str(tmp_path / 'a.png')), cv2.COLOR_BGR2RGB)
    assert seen[1, 0].tolist() == [230, 30, 100]
    assert seen[0, 1].tolist() == [0, 155, 0]


def test_left_out_pixels_stay_255_and_are_black(tmp_path):
    labels = np.array([[0, 255, 6]], np.uint8)
    write_palette_png(tmp_path / 'a.png', labels, SECOND.palette)
    with Image.open(tmp_path / 'a.png') as image:
        assert np.asarray(image).tolist() == [[0, 255, 6]]
        assert image.convert('RGB').getpixel((1, 0)) == (0, 0, 0)
    assert colourise(labels, SECOND.palette)[0].tolist() == [[255] * 3, [0] * 3, [255, 0, 0]]


def test_colourise_against_loop():
    labels = np.random.default_rng(0).integers(0, 7, (5, 6))
    colours = colourise(labels, SECOND.palette)
    assert colours.dtype == np.uint8
    for y in range(5):
        for x in range(6):
            assert tuple(colours[y, x]) == SECOND.palette[labels[y, x]]


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        (np.array([[7]]), 'holds class 7, the palette has 7 colours'),
        (np.array([[-1]]), 'holds class -1'),
        (np.zeros((2, 2, 1), int), r'\(H, W\), got int64 of shape \(2, 2, 1\)'),
        (np.zeros((2, 2)), 'integer array'),
    ],
)
def test_maps_that_have_no_colour(tmp_path, labels, message):
    with pytest.raises(LabelValueError, match=message):
        write_palette_png(tmp_path / 'a.png', labels, SECOND.palette)
    assert list(tmp_path.iterdir()) == []


def test_write_png(tmp_path):
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for image in (grey, np.stack([grey] * 3, -1)[:, ::-1]):
        write_png(tmp_path / 'x' / 'a.png', image)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'x' / 'a.png')), image)
