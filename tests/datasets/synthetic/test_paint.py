from dataclasses import replace

import numpy as np
import pytest

from tfinet_mm.datasets.synthetic.canvas import BUILDING, GRASS, GROUND, SPORTS, TREE, WATER
from tfinet_mm.datasets.synthetic.layout import Layer, Layout, Parcel, River, make_layout
from tfinet_mm.datasets.synthetic.paint import paint
from tfinet_mm.datasets.synthetic.raster import Crowns, Frame, Noise, generator

SHAPE = (120, 120)


def world(seed=0):
    rng = generator(seed)
    frame = Frame.make(rng, SHAPE)
    return frame, Noise.make(rng, SHAPE), Crowns.make(rng, SHAPE, 7.0)


def one_parcel(*layers):
    return Layout((Parcel((-150.0, -150.0), (150.0, 150.0), layers, layers),), (), None)


@pytest.mark.parametrize('seed', range(4))
def test_unchanged_layout_has_the_same_cover_at_both_dates(seed):
    scene = world(seed)
    layout = make_layout(generator(seed, 99), scene[0])
    first, second = (paint(layout, *scene, date) for date in (0, 1))
    np.testing.assert_array_equal(first.cover, second.cover)
    np.testing.assert_array_equal(first.building, second.building)
    np.testing.assert_array_equal(first.height, second.height)


def test_crops_differ_between_the_dates():
    differences = []
    for seed in range(10):
        layout = one_parcel(Layer('field', seed))
        first, second = (paint(layout, *world(), date) for date in (0, 1))
        assert (first.cover == GRASS).all()
        differences.append(np.abs(first.albedo - second.albedo).mean())
    # Some fields have the same crop, the others look quite different.
    assert min(differences) == 0
    assert sum(difference > 8 for difference in differences) >= 3


@pytest.mark.parametrize(
    ('use', 'cover', 'share'),
    [
        ('field', GRASS, 1.0),
        ('meadow', GRASS, 1.0),
        ('forest', TREE, 0.5),
        ('park', TREE, 0.05),
        ('bare', GROUND, 1.0),
        ('paved', GROUND, 1.0),
        ('pond', WATER, 0.5),
        ('houses', BUILDING, 0.25),
        ('blocks', BUILDING, 0.25),
        ('industry', BUILDING, 0.4),
    ],
)
def test_uses_show_their_class(use, cover, share):
    scene = world(1)
    for seed in range(5):
        surface = paint(one_parcel(Layer(use, seed)), *scene, 0)
        assert (surface.cover == cover).mean() >= share - 0.1


def test_sports_ground_fills_a_parcel_of_its_size():
    for seed in range(6):
        layers = (Layer('sports', seed),)
        layout = Layout((Parcel((-30.0, -18.0), (30.0, 18.0), layers, layers),), (), None)
        surface = paint(layout, *world(seed), 0)
        sports = (surface.cover == SPORTS).sum()
        assert 0.6 * 60 * 36 < sports < 60 * 36
        # Lines and two surfaces: more than one colour.
        assert surface.albedo[surface.cover == SPORTS].std(0).min() > 5


def test_blob_and_road_take_a_part_of_the_parcel():
    scene, old = world(2), Layer('forest', 3)
    layers = (-40.0, -40.0), (40.0, 40.0)
    for new in (Layer('bare', 4, blob=True), Layer('road', 4)):
        layout = Layout((Parcel(*layers, (old,), (old, new)),), (), None)
        before, after = (paint(layout, *scene, date) for date in (0, 1))
        changed = before.cover != after.cover
        assert 200 < changed.sum() < 0.75 * 80 * 80
        assert (after.cover[changed] == GROUND).all()


def test_river_takes_what_is_in_it_at_both_dates():
    scene = world(3)
    layout = replace(one_parcel(Layer('field', 1)), river=River(0.0, 8.0, 40.0, 1.0, 10.0, 5))
    maps = [paint(layout, *scene, date).cover for date in (0, 1)]
    np.testing.assert_array_equal(*maps)
    distance = layout.river.distance(*scene[0].straight)
    assert (maps[0][distance < 4] == WATER).all()
    assert not (maps[0][distance > 17] == WATER).any()
