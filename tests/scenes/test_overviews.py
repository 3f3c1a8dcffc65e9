"""Test overviews that show other values than the pixels they stand for."""

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.reader import ScenePair

rasterio = pytest.importorskip('rasterio')
from rasterio.enums import Resampling


@pytest.fixture
def pair(scene, smooth):
    values = smooth(2100, 2100, bands=1, scale=3000, dtype=np.uint16)
    return [scene(name, values) for name in ('before', 'after')]


def limits(*pair, **options):
    with ScenePair(*pair, **options) as opened:
        return opened.stretches[0]


@pytest.mark.parametrize('resampling', ['nearest', 'average', 'cubic', 'lanczos'])
def test_overviews_of_the_pixels_are_used(pair, resampling):
    for path in pair:
        with rasterio.open(path, 'r+') as file:
            file.build_overviews([2, 4, 8], Resampling[resampling])
    found = limits(*pair, stretch='percentiles')
    with rasterio.open(pair[0]) as file:
        exact = np.percentile(file.read(1), (2, 98))
    assert (found.low[0], found.high[0]) == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize('stretch', ['percentiles', 'each-date'])
@pytest.mark.parametrize('factor', [0, 1 / 12])
def test_other_overviews_are_refused(pair, scene, stretch, factor):
    """Such as those of an earlier version, or empty ones after an interruption."""
    with rasterio.open(pair[1]) as file:
        small = (file.read(out_shape=(1, 1050, 1050)) * factor).astype(np.uint16)
    scene('other', small).rename(f'{pair[1]}.ovr')
    with pytest.raises(SceneError, match=r'after .*overviews that show other values') as error:
        limits(*pair, stretch=stretch)
    assert str(pair[1]) in str(error.value)
    assert 'gdaladdo -clean' in str(error.value)
    assert limits(*pair, stretch=(0, 3000)).high == (3000,)
