import numpy as np
import pytest

from tfinet_mm.datasets.synthetic import buildings
from tfinet_mm.datasets.synthetic.canvas import BUILDING, Cell, Surface
from tfinet_mm.datasets.synthetic.raster import Crowns, Frame, Noise, generator


def make_cell():
    rng, shape = generator(8), (140, 140)
    surface = Surface(
        Frame.make(rng, shape), Noise.make(rng, shape), Crowns.make(rng, shape, 7.0), 0
    )
    return Cell.cut(surface, (-35.0, -30.0), (35.0, 30.0))


@pytest.mark.parametrize('roof', ['gable', 'flat', 'sheet'])
def test_build_draws_a_straight_rectangle(roof):
    cell = make_cell()
    surface = cell.surface
    colour = np.array([120.0, 80, 60])
    # Too narrow for a corner to be missing.
    buildings.build(cell, generator(0), (35.0, 30.0), (30.0, 9.0), colour, roof, 6.0, 5)
    mask = surface.cover == BUILDING
    assert abs(mask.sum() - 270) < 25
    assert (surface.building[mask] == 5).all()
    assert (surface.height[mask] == 6).all()
    u, v = surface.frame.straight[:, mask]
    assert np.ptp(u) == pytest.approx(30, abs=1.5)
    assert np.ptp(v) == pytest.approx(9, abs=1.5)
    np.testing.assert_allclose(surface.albedo[mask].mean(0), colour, rtol=0.1)


def test_gable_roof_falls_to_both_sides():
    cell = make_cell()
    colour = np.full(3, 100.0)
    buildings.build(cell, generator(0), (35.0, 30.0), (30.0, 9.0), colour, 'gable', 5.0, 1)
    surface = cell.surface
    mask = surface.cover == BUILDING
    ridge = np.abs(surface.frame.straight[1] - surface.frame.straight[1][mask].mean())
    assert np.corrcoef(ridge[mask], surface.relief[mask])[0, 1] < -0.99


@pytest.mark.parametrize('use', ['houses', 'blocks', 'industry'])
@pytest.mark.parametrize('seed', range(4))
def test_thinning_leaves_the_other_buildings_as_they_are(use, seed):
    maps = []
    for thin in (0.0, 0.5, 1.0):
        cell = make_cell()
        getattr(buildings, use)(cell, generator(seed), thin, 12)
        maps.append(cell.surface.building)
    full, half, none = maps
    assert (full > 0).sum() > 250
    assert (none == 0).all()
    assert (half[half > 0] == full[half > 0]).all()
    assert (half > 0).sum() < (full > 0).sum() or len(np.unique(full)) < 4


@pytest.mark.parametrize('use', ['houses', 'blocks', 'industry'])
def test_buildings_are_large_enough_to_be_seen(use):
    sizes = []
    for seed in range(8):
        cell = make_cell()
        getattr(buildings, use)(cell, generator(seed), 0.0, seed)
        identities, counts = np.unique(cell.surface.building, return_counts=True)
        sizes += counts[identities > 0].tolist()
    assert np.median(sizes) >= {'houses': 100, 'blocks': 220, 'industry': 450}[use]
