"""Test panels side by side."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.visualization.canvas import HATCH, compose, hatched, panel_size, resized


@pytest.mark.parametrize(
    ('height', 'width', 'expected'),
    [
        (32, 32, (192, 192)),
        (50, 100, (200, 100)),
        (192, 100, (100, 192)),
        (512, 512, (512, 512)),
        (1024, 2048, (512, 256)),
        (1, 100000, (512, 1)),
        (1, 1, (192, 192)),
    ],
)
def test_panel_size(height, width, expected):
    assert panel_size(height, width, 192, 512) == expected


def test_classes_keep_their_colours_at_any_size():
    labels = np.random.default_rng(0).integers(0, 2, (64, 48, 3), np.uint8) * 255
    for size in ((12, 16), (96, 128)):
        picture = np.asarray(resized(labels, size))
        assert picture.shape == (size[1], size[0], 3)
        assert set(np.unique(picture)) <= {0, 255}


def test_reduced_images_are_averaged():
    image = np.zeros((4, 4, 3), np.uint8)
    image[::2] = 200
    assert np.asarray(resized(image, (2, 2), smooth=True)).tolist() == [[[100] * 3] * 2] * 2


def test_compose_keeps_every_panel_and_legend_colour():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (1, 2, 3)]
    panels = [('p', Image.new('RGB', (200, 150), colour)) for colour in colours[:3]]
    legend = [[('a class with a long name', (9, 8, 7))] * 12, [('b', colours[3])]]
    picture = compose([panels[:2], [panels[2], None]], (200, 150), 'title', legend)
    assert picture.dtype == np.uint8
    for colour in colours[:3]:
        assert (picture == colour).all(-1).sum() == 200 * 150
    swatches = (picture == (9, 8, 7)).all(-1)
    # Twelve long names don't fit into one line of a picture of 424 pixels.
    rows = np.flatnonzero(swatches.any(axis=1))
    assert (np.diff(rows) > 1).sum() >= 3
    last = np.flatnonzero((picture == colours[3]).all(-1).any(axis=1))
    assert last.min() > rows.max()


def test_legend_of_text_colours_and_pictures():
    panel = ('', Image.new('RGB', (200, 20)))
    tile = Image.new('RGB', (40, 40), (7, 8, 9))
    legend = [[('words:', None), ('a', (9, 8, 7)), ('b', tile)]]
    picture = compose([[panel, panel]], (200, 20), '', legend)
    swatches = [(picture == colour).all(-1) for colour in ((9, 8, 7), (7, 8, 9))]
    # Squares of 12 pixels on one line, within frames that take one pixel from a cut-out.
    for swatch in swatches:
        rows, columns = np.flatnonzero(swatch.any(axis=1)), np.flatnonzero(swatch.any(axis=0))
        assert len(rows) in (11, 12)
        assert len(rows) == len(columns)
    words, first, second = 8, *(np.flatnonzero(s.any(axis=0)).min() for s in swatches)
    assert words + 30 < first < second


def test_text_has_the_height_that_is_asked_for():
    panel = ('heading', Image.new('RGB', (300, 100)))
    pictures = [compose([[panel]], (300, 100), '', [[('a', (9, 8, 7))]], size) for size in (12, 20)]
    for picture, text in zip(pictures, (12, 20), strict=True):
        # Square swatches within a frame, and a line of text and gap above the panel.
        assert (picture == (9, 8, 7)).all(-1).sum() == (text - 1) ** 2
        assert np.flatnonzero((picture == 0).all(-1).any(axis=1)).min() == 8 + text + 8


def test_stripes_cover_the_mask_alone():
    panel = Image.new('RGB', (64, 32), (0, 0, 250))
    mask = np.zeros((16, 32), bool)
    mask[:8, :8] = True
    striped = np.asarray(hatched(panel, mask))
    assert (striped[:, 16:] == (0, 0, 250)).all()
    assert (striped[16:] == (0, 0, 250)).all()
    part = striped[:16, :16]
    for y, x in np.ndindex(16, 16):
        assert tuple(part[y, x]) == HATCH[(y + x) // 4 % 2]
    assert hatched(panel, mask & False) is panel


@pytest.mark.parametrize('title', ['', 'x' * 500, 'grün 日本'])
def test_any_title_fits(title):
    panel = ('heading ' * 10, Image.new('RGB', (10, 200)))
    picture = compose([[panel, panel]], (10, 200), title, [[('a', (1, 1, 1))]])
    assert picture.shape[1] < 200
    # Nothing is written over the right border.
    assert (picture[:, -2:] == picture[0, 0]).all()
