import numpy as np
import pytest

from tfinet_mm.datasets.synthetic import materials
from tfinet_mm.datasets.synthetic.raster import Noise, generator


def test_blend_worked_numbers():
    mix, light = np.array([[0.0, 0.25]]), np.array([[1.0, 2.0]])
    result = materials.blend(np.array([10, 20, 30]), np.array([50, 20, 10]), mix, light)
    np.testing.assert_allclose(result, [[[10, 20, 30], [40, 40, 50]]])


def test_patches_are_between_0_and_1():
    np.testing.assert_allclose(
        materials.patches(np.array([-10.0, 0.0, 10.0])), [0, 0.5, 1], atol=1e-6
    )


@pytest.mark.parametrize('material', sorted(materials.PALETTES))
def test_pick_stays_near_the_palette(material):
    rng = generator(0)
    picked = np.array([materials.pick(rng, material) for _ in range(300)])
    palette = np.array(materials.PALETTES[material])
    nearest = np.abs(picked[:, None] - palette).max(-1).min(1)
    assert nearest.max() < 40
    assert np.unique(picked[:, 0]).size > 200


def test_furrows_stay_where_they_are_when_the_crop_changes():
    shape = (96, 96)
    noise = Noise.make(generator(1), shape)
    v, u = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    spectra, colours = [], []
    for date in (1, 2):
        field = materials.crop(generator(5), generator(5, date), noise, u, v)
        colours.append(field.mean((0, 1)))
        grey = field.mean(-1) / field.mean()
        spectrum = np.abs(np.fft.fft2(grey - grey.mean()))
        spectrum[:12, :12] = spectrum[-12:, :12] = spectrum[:12, -12:] = spectrum[-12:, -12:] = 0
        spectra.append(spectrum)
    assert np.abs(colours[0] - colours[1]).max() > 15
    peaks = [np.unravel_index(s.argmax(), s.shape) for s in spectra]
    rows, columns = zip(*peaks, strict=True)
    frequency = [max(min(a, 96 - a) for a in peak) / 96 for peak in zip(rows, columns, strict=True)]
    # Furrows are 3.2 to 6.5 pixels apart, the same at both dates.
    assert frequency[0] == pytest.approx(frequency[1], abs=0.02)
    assert 1 / 6.6 < frequency[0] < 1 / 3.1


def test_water_is_smoother_than_grass_and_soil():
    noise = Noise.make(generator(2), (64, 64))
    roughness = {}
    for name in ('water', 'grass', 'soil'):
        grey = getattr(materials, name)(generator(3), noise).mean(-1)
        roughness[name] = np.abs(np.diff(grey, axis=1)).mean() / grey.mean()
    assert roughness['water'] < 0.5 * roughness['grass']
    assert roughness['grass'] < roughness['soil']
