import io

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tfinet_mm.io import label_headers
from tfinet_mm.io.label_headers import LabelHeader, read_label_header, read_label_headers
from tfinet_mm.structures import SECOND

LABEL = np.array([[0, 1, 2, 3], [4, 5, 6, 0]], np.uint8)
COLOURS = np.array(SECOND.palette, np.uint8)


def palette_image():
    image = Image.fromarray(LABEL, mode='P')
    image.putpalette(COLOURS.ravel().tolist())
    return image


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tif'])
def test_headers_say_what_pillow_wrote(tmp_path, suffix):
    images = dict(
        grey=(Image.fromarray(LABEL), 'grey', 8),
        rgb=(Image.fromarray(COLOURS[LABEL]), 'rgb', 8),
        palette=(palette_image(), 'palette', None),
        bit=(Image.fromarray(LABEL > 0), None, 1),
    )
    for name, (image, kind, bits) in images.items():
        path = tmp_path / f'{name}{suffix}'
        image.save(path)
        header = read_label_header(path)
        assert kind is None or header.kind == kind
        assert bits is None or suffix != '.png' or header.bits == bits
        if kind == 'palette':
            assert np.array_equal(header.colours()[:7], COLOURS)


def test_long_notes_in_front_of_the_pixels(tmp_path):
    text = PngInfo()
    text.add_text('k', 'x' * 5000)
    palette_image().save(tmp_path / 'a.png', pnginfo=text)
    assert (tmp_path / 'a.png').read_bytes().find(b'IDAT') > label_headers.HEAD_BYTES
    header = read_label_header(tmp_path / 'a.png')
    assert header.kind == 'palette'
    assert np.array_equal(header.colours()[:7], COLOURS)


def test_what_holds_no_label_has_no_header(tmp_path):
    picture = io.BytesIO()
    Image.fromarray(COLOURS[LABEL]).save(picture, 'JPEG')
    for name, data in (
        ('a.png', b''),
        ('b.png', b'\x89PNG\r\n\x1a\n'),
        ('c.png', b'\x89PNG\r\n\x1a\nxxxxIHDRIDAT'),
        ('d.jpg', picture.getvalue()),
        ('e.tif', b'II*\0 and no more'),
        ('f.webp', b'RIFF0000WEBPxxxx'),
    ):
        (tmp_path / name).write_bytes(data)
        assert read_label_header(tmp_path / name) is None
    assert read_label_header(tmp_path / 'none.png') is None


def test_many_files_keep_their_order(tmp_path):
    paths = []
    for number in range(600):
        paths.append(tmp_path / f'{number}.png')
        (Image.fromarray(LABEL) if number % 3 else palette_image()).save(paths[-1])
    kinds = [header.kind for header in read_label_headers(paths)]
    assert kinds == ['grey' if number % 3 else 'palette' for number in range(600)]
    assert read_label_headers([]) == []
    assert read_label_header(paths[1]) == LabelHeader('grey', 8)
