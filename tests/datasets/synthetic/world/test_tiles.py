"""Test the noise and the crowns from which textures are made."""

import numpy as np
import pytest

from tfinet_mm.datasets.synthetic.raster import generator
from tfinet_mm.datasets.synthetic.world.tiles import cut_fields, tiles, white_noise


@pytest.fixture(scope='module')
def bank():
    return tiles()


def test_bands_are_normalised_and_of_the_sizes_they_say(bank):
    assert bank.bands.shape == (4, 1024, 1024)
    np.testing.assert_allclose(bank.bands.mean((1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(bank.bands.std((1, 2)), 1, atol=1e-3)
    # Mean wavelength of each band's power: coarser before finer.
    frequency = np.hypot(np.fft.fftfreq(1024)[:, None], np.fft.fftfreq(1024)[None])
    lengths = []
    for band in bank.bands:
        power = np.abs(np.fft.fft2(band)) ** 2
        lengths.append(1 / ((power * frequency).sum() / power.sum()))
    assert lengths == sorted(lengths, reverse=True)
    assert 30 < lengths[0] < 120
    assert 1.4 < lengths[3] < 4


def test_crowns_are_as_far_apart_as_asked(bank):
    for spacing, (dome, tone) in bank.crowns.items():
        assert dome.min() >= 0
        assert 0.9 < dome.max() <= 1
        assert np.abs(tone).max() <= 1
        # One tone a crown: as many as cells of the grid, within what is hidden by others.
        assert 0.7 < len(np.unique(tone)) / (1024 / spacing) ** 2 < 1.1


@pytest.mark.parametrize('spacing', [0.8, 3.0, 8.0, 24.0])
def test_fields_have_the_shape_asked_for(spacing):
    fields = cut_fields(generator(1), (60, 70), spacing)
    for name in ('coarse', 'mid', 'fine', 'grain', 'dome', 'tone'):
        values = getattr(fields, name)
        assert values.shape == (60, 70)
        assert values.dtype == np.float32


def test_wider_spacing_makes_wider_crowns():
    def roughness(spacing):
        dome = cut_fields(generator(2), (128, 128), spacing).dome
        return np.abs(np.diff(dome, axis=1)).mean() / dome.std()

    assert roughness(24.0) < 0.6 * roughness(8.0)


def test_white_noise_has_no_memory():
    noise = white_noise(generator(3), (100, 100))
    assert noise.shape == (100, 100, 3)
    assert abs(noise.std() - 1) < 0.02
    beside = np.corrcoef(noise[:, 1:, 0].ravel(), noise[:, :-1, 0].ravel())[0, 1]
    assert abs(beside) < 0.03
