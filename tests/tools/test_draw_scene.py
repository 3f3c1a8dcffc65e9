"""Test tools/draw_scene.py."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
from finished_scene import finished_scene

from tfinet_mm.errors import SceneError


@pytest.fixture
def scene(tmp_path):
    prob = np.zeros((60, 90))
    prob[:30] = 1
    return finished_scene(tmp_path, prob, *np.ones((2, 60, 90), np.uint8)).folder


@pytest.mark.parametrize('name', ['a b.jpg', 'x.png', 'sub/x.JPEG'])
def test_the_suffix_is_the_format(load_tool, scene, tmp_path, capsys, name):
    out = tmp_path / name
    load_tool('draw_scene.py').main([str(scene), '--out', str(out), '--side', '80'])
    with Image.open(out) as image:
        assert image.format == ('PNG' if name.endswith('png') else 'JPEG')
        width, height = image.size
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '27.00 of 54.00 ha changed'
    assert lines[1].startswith(f'{out}, {width} x {height}, ')


def test_quality_makes_the_file_smaller(load_tool, scene, tmp_path):
    sizes = []
    for quality in ('95', '10'):
        out = tmp_path / f'{quality}.jpg'
        words = [str(scene), '--out', str(out), '--quality', quality]
        load_tool('draw_scene.py').main(words)
        sizes.append(out.stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


def test_what_cannot_be_drawn(load_tool, scene, tmp_path):
    main = load_tool('draw_scene.py').main
    with pytest.raises(ValueError, match=r'suffix \.jpg or \.png'):
        main([str(scene), '--out', str(tmp_path / 'x.tif')])
    with pytest.raises(SceneError, match='holds no finished scene'):
        main([str(tmp_path), '--out', str(tmp_path / 'x.png')])
