import sys

import numpy as np
import pytest

from tfinet_mm.datasets.synthetic import raster
from tfinet_mm.datasets.synthetic.raster import Crowns, Frame, generator, smooth_noise
from tfinet_mm.errors import MissingExtraError


def test_generator_depends_on_all_numbers():
    draws = {tuple(generator(*key).integers(2**31, size=2)) for key in [(0, 1), (1, 0), (1, 1)]}
    assert len(draws) == 3


@pytest.mark.parametrize('scale', [1.0, 2.5, 6.0, 18.0])
def test_smooth_noise_has_unit_spread_and_its_scale(scale):
    noise = smooth_noise(generator(3), (301, 283), scale)
    assert noise.shape == (301, 283)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.2
    assert 0.8 < noise.std() < 1.2
    # Values closer than the scale are similar, those far apart are not.
    far = int(3 * scale) + 1
    assert abs(np.corrcoef(noise[:, far:].ravel(), noise[:, :-far].ravel())[0, 1]) < 0.2
    if scale > 2:
        assert np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] > 0.6


def test_crowns_are_whole_trees():
    crowns = Crowns.make(generator(1), (60, 70), spacing=7.0)
    assert crowns.dome.min() >= 0
    assert crowns.dome.max() > 0.9
    # One tone for each tree: about as many tones as cells of the grid.
    tones = np.unique(crowns.tone)
    assert 0.6 * 86 < len(tones) < 1.7 * 86
    # The tone is the same all over a crown: it changes where crowns meet, low down.
    seams = crowns.tone[:, 1:] != crowns.tone[:, :-1]
    assert crowns.dome[:, 1:][seams].mean() < 0.8 * crowns.dome.mean()


@pytest.mark.parametrize('seed', range(5))
def test_window_holds_the_rectangle(seed):
    frame = Frame.make(generator(seed), (80, 65))
    low, high = (-20.0, -5.0), (4.0, 11.0)
    u, v = frame.straight
    inside = (u >= low[0]) & (u <= high[0]) & (v >= low[1]) & (v <= high[1])
    window = frame.window(low, high, 1)
    outside = np.ones(frame.shape, bool)
    outside[window] = False
    assert inside.any()
    assert not (inside & outside).any()


def test_window_off_the_canvas_is_empty():
    frame = Frame.make(generator(0), (80, 65))
    assert raster.is_empty(frame.window((500.0, 500.0), (520.0, 520.0), 3))


def test_pixel_and_unbend_invert_the_coordinates():
    frame = Frame.make(generator(2), (90, 120))
    for row, column in [(10, 20), (45, 60), (80, 100)]:
        u, v = frame.straight[:, row, column]
        np.testing.assert_allclose(frame.pixel(float(u), float(v)), (row, column), atol=1e-3)
        u, v = frame.bent[:, row, column]
        # To a fraction of a pixel: the bend is read a few pixels away from where it is.
        np.testing.assert_allclose(
            frame.unbend(float(u), float(v)), frame.straight[:, row, column], atol=1.5
        )


def test_missing_opencv_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv2', None)
    with pytest.raises(MissingExtraError, match=r'pip install "tfinet-mm\[mm\]"'):
        raster._import_cv2()
