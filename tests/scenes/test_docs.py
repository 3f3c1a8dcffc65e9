"""Test that the snippets of the page about scenes work."""

import re
from pathlib import Path

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio')
PAGE = Path(__file__).parents[2] / 'docs' / 'scenes.md'


def test_the_snippets_give_a_whole_map(tmp_path, monkeypatch):
    """The scene is larger than a window, and the network's maps copy its first band."""
    predicting, reading, blending = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
    rows, columns = np.mgrid[:600, :700]
    scene = np.stack([rows, columns, rows + columns]).astype(np.uint16)
    for name in ('2018.tif', '2023.tif'):
        with rasterio.open(
            tmp_path / name,
            'w',
            driver='GTiff',
            count=3,
            height=600,
            width=700,
            dtype='uint16',
            crs='EPSG:32633',
            transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
            tiled=True,
        ) as file:
            file.write(scene)
    monkeypatch.chdir(tmp_path)
    assert 'predict_scene(' in predicting
    stripes = []
    values = dict(
        network=lambda pair: np.repeat(pair[:1], 13, axis=0),
        write=lambda top, maps, valid: stripes.append((top, maps, valid)),
    )
    # The second snippet uses the open pair of the first.
    inner = ''.join(f'    {line}' if line.strip() else line for line in blending.splitlines(True))
    exec(reading + inner, values)
    low, high = np.percentile(np.arange(600), [2, 98])
    found = np.concatenate([maps for _, maps, _ in stripes], axis=1)
    expected = np.clip((rows - low) / (high - low), 0, 1) * 255
    assert found.shape == (13, 600, 700)
    np.testing.assert_allclose(found[0], expected, atol=0.1)
    assert all(valid.all() for _, _, valid in stripes)
