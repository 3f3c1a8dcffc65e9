"""Test light and shadow, texture and season against geometry worked by hand."""

import numpy as np
import pytest

from tfinet_mm.datasets.synthetic.raster import generator
from tfinet_mm.datasets.synthetic.world.palette import MATERIALS, Look, plain
from tfinet_mm.datasets.synthetic.world.plot import box
from tfinet_mm.datasets.synthetic.world.season import KINDS, Season, draw_season
from tfinet_mm.datasets.synthetic.world.shade import Sun, draw_sun, shade, tabulate
from tfinet_mm.datasets.synthetic.world.sketch import (
    BEFORE,
    HOUSE_LAYER,
    Material,
    Placement,
    Sketch,
    Thing,
    draw,
)
from tfinet_mm.datasets.synthetic.world.tiles import Fields

SHAPE = (64, 64)
FLAT = Fields(*(np.zeros(SHAPE, np.float32) for _ in range(6)))
SMOOTH = dict(patch=0, coarse=0, mid=0, fine=0, grain=0)
NO_SEASON = Season(
    np.ones((len(KINDS), 3)), np.zeros((len(KINDS), 3)), np.zeros(len(KINDS)), snow=0.0
)
SUN = Sun((1.0, 0.0), 1.0, 0.4)


def _picture(*things, fields=FLAT, season=NO_SEASON, sun=SUN, date=BEFORE):
    sketch = Sketch(Placement(SHAPE, 1.0, 0.0, np.zeros((1, 5))), list(things))
    numbers = draw(sketch, date, (0, 0), np.zeros(SHAPE, np.float32))
    return shade(numbers, tabulate(generator(1), sketch), fields, season, sun, date)


def _ground(level=100.0, material='asphalt', **options):
    plain_material = MATERIALS[material].but(**SMOOTH)
    return Thing(box(0, 0, 300, 300), plain_material, plain(np.full(3, level)), **options)


def test_a_smooth_surface_has_its_tone():
    np.testing.assert_allclose(_picture(_ground(100.0)), 100, rtol=1e-5)


def test_a_shadow_is_as_long_as_the_sun_is_low():
    wall = Thing(
        box(0, 0, 2, 200),
        MATERIALS['roof'].but(**SMOOTH),
        plain(np.full(3, 100.0)),
        HOUSE_LAYER,
        height=12.0,
    )
    for steepness in (0.6, 1.0, 2.0):
        row = _picture(_ground(), wall, sun=Sun((1.0, 0.0), steepness, 0.4))[32, :, 1]
        dark = np.flatnonzero(row < 70)
        # The sun stands on the right: the shadow falls to the left of the wall's 2 pixels.
        assert dark.max() < 32
        assert len(dark) == pytest.approx(12 / steepness, abs=2.1)
        assert row[dark[2:-2]] == pytest.approx(40, rel=0.05)


def test_a_slope_towards_the_sun_is_lighter():
    roof = MATERIALS['roof'].but(**SMOOTH)
    look = plain(np.full(3, 100.0))
    towards, away = (
        _picture(Thing(box(0, 0, 200, 200), roof, look, normal=(side, 0.0)))[32, 32, 0]
        for side in (1.0, -1.0)
    )
    assert towards == pytest.approx(128, rel=0.01)
    assert away == pytest.approx(72, rel=0.01)


def test_stripes_have_their_period():
    material = MATERIALS['crop'].but(**SMOOTH, stripe=0.2)
    field = Thing(box(0, 0, 200, 200), material, plain(np.full(3, 100.0)), waves=(1 / 8, 0.0))
    picture = _picture(field)[..., 0]
    spectrum = np.abs(np.fft.rfft(picture[32] - picture[32].mean()))
    assert int(spectrum.argmax()) == 64 // 8
    assert np.ptp(picture[:, 10]) < 1e-3
    assert np.ptp(picture) == pytest.approx(40, rel=0.05)


def test_patches_mix_two_tones_by_the_noise():
    noise = np.linspace(-4, 4, 64, dtype=np.float32) * np.ones((64, 1), np.float32)
    fields = Fields(FLAT.coarse, noise, FLAT.fine, FLAT.grain, FLAT.dome, FLAT.tone)
    material = Material(3, 'stone', **{**SMOOTH, 'patch': 3.0})
    thing = Thing(box(0, 0, 200, 200), material, Look(np.full(3, 50.0), np.full(3, 150.0)))
    picture = _picture(thing, fields=fields)[32, :, 0]
    assert picture[0] == pytest.approx(50, abs=1)
    assert picture[-1] == pytest.approx(150, abs=1)
    assert (np.diff(picture) >= 0).all()


def test_the_season_changes_plants_and_leaves_stone_alone():
    tint = np.zeros((len(KINDS), 3))
    amount = np.zeros(len(KINDS))
    tint[KINDS.index('grass')], amount[KINDS.index('grass')] = (150, 130, 90), 0.5
    season = Season(NO_SEASON.gain, tint, amount, 0.0)
    np.testing.assert_allclose(_picture(_ground(100.0), season=season), 100, rtol=1e-5)
    meadow = _picture(_ground(100.0, 'meadow'), season=season)[32, 32]
    np.testing.assert_allclose(meadow, [125, 115, 95], rtol=1e-4)


def test_snow_whitens_meadows_and_not_water():
    season = Season(NO_SEASON.gain, NO_SEASON.tint, NO_SEASON.amount, 1.0)
    assert _picture(_ground(60.0, 'meadow'), season=season).mean() > 200
    np.testing.assert_allclose(_picture(_ground(60.0, 'water'), season=season), 60, rtol=1e-5)


def test_what_differs_between_the_dates_is_drawn_so():
    look = Look(np.full(3, 50.0), np.full(3, 50.0), (np.full(3, 90.0), np.full(3, 90.0)))
    field = Thing(box(0, 0, 200, 200), MATERIALS['asphalt'].but(**SMOOTH), look)
    assert _picture(field).mean() == pytest.approx(50)
    assert _picture(field, date=2).mean() == pytest.approx(90)


def test_draws_stay_in_range():
    for seed in range(40):
        sun = draw_sun(generator(seed))
        assert np.hypot(*sun.towards) == pytest.approx(1)
        assert 0.4 < sun.steepness < 3.2
        season = draw_season(generator(seed), 0.5, 0.5)
        assert ((season.amount >= 0) & (season.amount <= 1)).all()
        assert 0 <= season.snow <= 1
        assert (season.gain > 0.3).all()
