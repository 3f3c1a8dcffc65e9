"""Test that the images of a predicted scene are opened as the network saw them."""

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.source_images import open_images

pytest.importorskip('rasterio')
pytest.importorskip('shapely')
pytest.importorskip('pyogrio')


def differing(pair):
    """Return the mean difference of the dates where both are seen."""
    with pair:
        values, seen = pair.read()
    before, after = np.split(values.astype(float), 2)
    assert seen.mean() > 0.9
    return np.abs(before - after)[:, seen].mean()


@pytest.fixture
def apart(raster, smooth):
    """Two files of the same ground, of which the second lies 3 pixels too far east."""
    ground = smooth(160, 160)
    return raster('a.tif', ground), raster('b.tif', ground, x=500_030)


def test_an_alignment_is_made_again(apart, network, tmp_path):
    out = predict_scene(network(window=128), *apart, tmp_path / 'out', polygons=False, align=True)
    results = SceneResults(out)
    assert differing(open_images(results)) < 0.5
    assert differing(ScenePair(*apart, grid=results.grid)) > 5


def test_files_that_are_not_those_of_the_scene(apart, raster, smooth, network, tmp_path):
    results = SceneResults(predict_scene(network(), *apart, tmp_path / 'out', polygons=False))
    with pytest.raises(FileNotFoundError, match=r'not at gone\.tif any more; .*FILE, or x'):
        open_images(results, after='gone.tif', hint=', or x')
    elsewhere = raster('c.tif', smooth(160, 160), x=501_500)
    with pytest.raises(SceneError, match=r'c\.tif covers \d+ % of .*out; .* \(--after FILE\)'):
        open_images(results, after=elsewhere)
