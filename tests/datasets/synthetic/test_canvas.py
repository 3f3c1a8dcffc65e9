import numpy as np
import pytest

from tfinet_mm.datasets.synthetic.canvas import BUILDING, GRASS, GROUND, TREE, Cell, Surface
from tfinet_mm.datasets.synthetic.raster import Crowns, Frame, Noise, generator


@pytest.fixture
def surface():
    rng, shape = generator(4), (90, 100)
    frame = Frame.make(rng, shape)
    return Surface(frame, Noise.make(rng, shape), Crowns.make(rng, shape, 7.0), 0)


def test_fill_and_tint(surface):
    window = (slice(2, 4), slice(3, 6))
    mask = np.array([[True, False, True], [False, True, False]])
    surface.fill(window, mask, BUILDING, np.array([10.0, 20, 30]), 5.0, 0.5, 77)
    assert (surface.cover == BUILDING).sum() == 3
    assert surface.cover[2, 4] == GRASS
    assert surface.albedo[3, 4].tolist() == [10, 20, 30]
    assert surface.height.sum() == 15
    assert (surface.building == 77).sum() == 3
    surface.tint(window, mask, np.array([110.0, 120, 130]), 0.5)
    assert surface.albedo[2, 3].tolist() == [60, 70, 80]
    # A flat thing replaces the building, its height and its identity.
    surface.fill(window, mask, GROUND, np.zeros(3))
    assert surface.height.sum() == 0
    assert surface.building.sum() == 0


def test_cell_covers_its_rectangle(surface):
    cell = Cell.cut(surface, (-20.0, -15.0), (5.0, 10.0))
    u, v = surface.frame.bent
    expected = (u >= -20) & (u < 5) & (v >= -15) & (v < 10)
    found = np.zeros_like(expected)
    found[cell.window] = cell.mask
    np.testing.assert_array_equal(found, expected)
    assert cell.u[cell.mask].min() >= 0
    assert cell.v[cell.mask].max() < 25


def test_cell_off_the_canvas(surface):
    assert Cell.cut(surface, (900.0, 900.0), (950.0, 950.0)) is None


def test_plant_stays_in_the_mask_and_has_height(surface):
    cell = Cell.cut(surface, (-20.0, -15.0), (20.0, 25.0))
    cell.plant(generator(0), cell.u < 12)
    trees = surface.cover == TREE
    assert trees[cell.window][cell.mask & (cell.u < 12)].mean() > 0.7
    assert not trees[cell.window][~cell.mask | (cell.u >= 12)].any()
    assert surface.height[trees].min() > 2


def test_single_trees_are_round_and_spare_buildings(surface):
    cell = Cell.cut(surface, (-30.0, -30.0), (30.0, 30.0))
    surface.cover[:, 60:] = BUILDING
    cell.trees(generator(0), np.array([[30.0, 30.0]]), 4.0)
    trees = surface.cover == TREE
    assert 0.5 * np.pi * 16 < trees.sum() < 1.6 * np.pi * 16
    cell.trees(generator(1), np.full((40, 2), 30.0) + generator(2).normal(0, 12, (40, 2)), 4.0)
    assert (surface.cover[:, 60:] == BUILDING).all()
