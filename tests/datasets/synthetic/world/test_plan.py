"""Test uses of land and their changes."""

import numpy as np
import pytest

from tfinet_mm.datasets.synthetic.canvas import BUILDING, GRASS, GROUND, SPORTS, TREE, WATER
from tfinet_mm.datasets.synthetic.raster import generator
from tfinet_mm.datasets.synthetic.world.palette import MATERIALS, TONES, look, tone
from tfinet_mm.datasets.synthetic.world.paved_land import _school_ground
from tfinet_mm.datasets.synthetic.world.plan import _divide, plan
from tfinet_mm.datasets.synthetic.world.plot import Plot
from tfinet_mm.datasets.synthetic.world.regions import (
    INHABITED,
    REGION_SHARES,
    REGIONS,
    TRANSITIONS,
    USES,
)
from tfinet_mm.datasets.synthetic.world.season import KINDS
from tfinet_mm.datasets.synthetic.world.sketch import AFTER, BEFORE, BOTH, Placement, Sketch, draw

EXPECTED = dict(
    field=GRASS, meadow=GRASS, forest=TREE, orchard=TREE, lawn=GRASS, bare=GROUND, dry=GROUND,
    quarry=GROUND, paved=GROUND, parking=GROUND, solar=GROUND, harbour=GROUND, ruins=GROUND,
)  # fmt: skip
CONTAINED = dict(
    pond=WATER, sports=SPORTS, farm=BUILDING, houses=BUILDING, village=BUILDING, terraced=BUILDING,
    blocks=BUILDING, industry=BUILDING, centre=BUILDING, greenhouses=BUILDING, savanna=TREE,
    scrub=TREE, construction=GROUND,
)  # fmt: skip


def _covers(use, seed, resolution=1.0):
    place = Placement((120, 120), resolution, 0.3, np.zeros((1, 5)))
    sketch = Sketch(place)
    USES['bare'](Plot(sketch, (-200, -200), (200, 200)), generator(seed, 1))
    half = 45 * resolution
    USES[use](Plot(sketch, (-half, -half), (half, half)), generator(seed))
    noise = generator(seed, 2).standard_normal((120, 120)).astype(np.float32)
    numbers = draw(sketch, BEFORE, (0, 0), noise)
    covers = np.array([thing.material.cover for thing in sketch.things])
    return covers[numbers][30:90, 30:90]


def test_the_tables_know_each_other():
    assert set(EXPECTED) | set(CONTAINED) == set(USES)
    assert set(TRANSITIONS) == set(USES)
    assert set(REGION_SHARES) == set(REGIONS)
    for table in (*REGIONS.values(), *TRANSITIONS.values()):
        assert set(table) <= set(USES)
    assert set(INHABITED) <= set(USES)
    assert {material.kind for material in MATERIALS.values()} <= set(KINDS)


@pytest.mark.parametrize('use', sorted(EXPECTED))
def test_most_of_a_plot_is_what_its_use_says(use):
    shares = [(_covers(use, seed) == EXPECTED[use]).mean() for seed in range(5)]
    assert np.median(shares) > 0.5


@pytest.mark.parametrize('use', sorted(CONTAINED))
@pytest.mark.parametrize('resolution', [0.5, 3.0])
def test_a_plot_holds_what_its_use_says(use, resolution):
    shares = [(_covers(use, seed, resolution) == CONTAINED[use]).mean() for seed in range(6)]
    assert np.median(shares) > 0.005


@pytest.mark.parametrize('use', sorted(USES))
def test_a_use_stays_at_its_date(use):
    sketch = Sketch(Placement((60, 60), 1.0, 0.0, np.zeros((1, 5))))
    USES[use](Plot(sketch, (-30, -30), (30, 30), AFTER), generator(4))
    assert all(not thing.dates & BEFORE for thing in sketch.things)


def test_a_school_ground_is_sports_up_to_its_edge():
    for seed in range(8):
        sketch = Sketch(Placement((120, 120), 1.0, 0.0, np.zeros((1, 5))))
        plot = Plot(sketch, (-60, -60), (60, 60))
        plot.ground('concrete', look(generator(seed), 'concrete'))
        long = seed % 2
        _school_ground(plot, generator(seed), long, 100.0, 60.0)
        numbers = draw(sketch, BEFORE, (0, 0), np.zeros((120, 120), np.float32))
        covers = np.array([thing.material.cover for thing in sketch.things])
        rows, columns = np.nonzero(covers[numbers] == SPORTS)
        sides = np.ptp(columns) + 1, np.ptp(rows) + 1
        np.testing.assert_allclose(sides, (60, 100) if long else (100, 60), atol=2)
        # Full, and with a pitch or courts on it.
        np.testing.assert_allclose(len(rows), 100 * 60, rtol=0.05)
        assert {'track', 'pitch'} <= {
            name
            for name, material in MATERIALS.items()
            if any(thing.material == material for thing in sketch.things)
        }


def test_woods_reach_farther_than_what_is_built():
    place = Placement((256, 256), 2.0, 0.0, np.zeros((1, 5)))
    sides = dict(forest=[], houses=[])
    for seed in range(150):
        parcels, _ = _divide(generator(seed), place, 362.0, 60.0, 0.0)
        for parcel in parcels:
            if parcel.use in sides:
                sides[parcel.use].append(max(np.subtract(parcel.high, parcel.low)))
    # Plots are cut until they are no longer than about twice the grain of 60 m, woods now and then
    # at three times this.
    shares = {use: (np.array(found) > 150).mean() for use, found in sides.items()}
    assert shares['forest'] > 0.01 > shares['houses']
    assert max(sides['forest']) > 200


def test_infill_adds_buildings_and_keeps_the_rest():
    sketch = Sketch(Placement((120, 120), 1.0, 0.0, np.zeros((1, 5))))
    USES['houses'](Plot(sketch, (-60, -60), (60, 60), BOTH, come=0.5), generator(5))
    houses = {thing.identity: thing.dates for thing in sketch.things if thing.identity}
    dates = list(houses.values())
    assert dates.count(AFTER) + dates.count(BOTH) == len(dates) > 8
    assert 0.2 < dates.count(AFTER) / len(dates) < 0.8
    assert all(thing.dates == BOTH for thing in sketch.things if not thing.identity)


def test_nothing_but_traffic_changes_without_a_share():
    for seed in range(6):
        place = Placement.make(generator(seed), (96, 96), 1.0)
        sketch = plan(generator(seed, 1), place, 0.0, 0.0)
        assert all(thing.dates == BOTH or thing.fleeting for thing in sketch.things)


@pytest.mark.parametrize('name', sorted(TONES))
def test_tones_stay_near_their_palette(name):
    drawn = np.array([tone(generator(1, i), name, 5.0) for i in range(60)])
    palette = np.array(TONES[name])
    assert drawn.min() >= 4
    assert drawn.max() <= 250
    assert (drawn.min(0) > palette.min(0) - 30).all()
    assert (drawn.max(0) < palette.max(0) + 30).all()
