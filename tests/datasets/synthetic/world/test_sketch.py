"""Test the drawing of things by their place, layer, date and height."""

import numpy as np
import pytest

from tfinet_mm.datasets.synthetic.raster import generator
from tfinet_mm.datasets.synthetic.world.palette import MATERIALS, plain
from tfinet_mm.datasets.synthetic.world.plot import Plot, blob, box, disc, rectangle
from tfinet_mm.datasets.synthetic.world.sketch import (
    AFTER,
    BEFORE,
    DETAIL_LAYER,
    HOUSE_LAYER,
    Placement,
    Sketch,
    Thing,
    draw,
)

GREY = plain(np.full(3, 100.0))
STRAIGHT = np.zeros((1, 5))
MID = np.zeros((80, 100), np.float32)


def _sketch(resolution=0.5, angle=0.0) -> Sketch:
    sketch = Sketch(Placement((80, 100), resolution, angle, STRAIGHT))
    sketch.add(Thing(box(0, 0, 500, 500), MATERIALS['meadow'], GREY))
    return sketch


@pytest.mark.parametrize('angle', [0.0, 0.7])
def test_a_rectangle_covers_its_metres(angle):
    sketch = _sketch(0.5, angle)
    number = sketch.add(Thing(box(0, 0, 20, 10), MATERIALS['roof'], GREY, HOUSE_LAYER))
    seen = draw(sketch, BEFORE, (0, 0), MID) == number
    # 20 x 10 m at 0.5 m a pixel; OpenCV draws the pixels of the outline too.
    assert seen.sum() == pytest.approx(800, rel=0.12)
    rows, columns = np.nonzero(seen)
    assert rows.mean() == pytest.approx(39.5, abs=0.6)
    assert columns.mean() == pytest.approx(49.5, abs=0.6)


def test_layers_and_dates_decide():
    sketch = _sketch()
    house = sketch.add(Thing(box(0, 0, 10, 10), MATERIALS['roof'], GREY, HOUSE_LAYER, BEFORE))
    yard = sketch.add(Thing(box(0, 0, 20, 20), MATERIALS['concrete'], GREY, DETAIL_LAYER))
    assert draw(sketch, BEFORE, (0, 0), MID)[40, 50] == house
    assert draw(sketch, AFTER, (0, 0), MID)[40, 50] == yard
    assert draw(sketch, AFTER, (0, 0), MID)[0, 0] == 0


def test_a_high_roof_leans_and_shows_its_wall():
    sketch = _sketch(1.0)
    number = sketch.add(
        Thing(box(0, 0, 20, 20), MATERIALS['roof'], GREY, HOUSE_LAYER, height=30.0, lifted=True)
    )
    upright = draw(sketch, BEFORE, (0, 0), MID) == number
    leaning = draw(sketch, BEFORE, (0.2, 0), MID)
    roof, wall = leaning == number, leaning == number + len(sketch.things)
    # 30 m high at 0.2 pixels a metre: six pixels to the right.
    np.testing.assert_array_equal(roof[:, 6:], upright[:, :-6])
    assert wall.sum() == pytest.approx(6 * upright.any(1).sum(), rel=0.2)
    assert np.nonzero(wall)[1].max() < np.nonzero(roof)[1].min() + 1


def test_another_thing_shows_where_the_noise_is_high():
    sketch = _sketch()
    other = sketch.add(Thing(np.zeros((3, 2)) - 1e6, MATERIALS['forest'], GREY))
    sketch.things[0].other, sketch.things[0].above = other, 0.5
    noise = np.where(np.arange(100) < 30, 1.0, 0.0).astype(np.float32) * np.ones(
        (80, 1), np.float32
    )
    numbers = draw(sketch, BEFORE, (0, 0), noise)
    assert (numbers[:, :30] == other).all()
    assert (numbers[:, 30:] == 0).all()


def test_what_is_off_the_picture_is_known():
    place = Placement.make(generator(1), (80, 100), 0.5)
    sketch = Sketch(place)
    assert sketch.seen_point(0, 0, 0)
    assert sketch.seen((-5, -5), (5, 5))
    assert not sketch.seen_point(200, 0, 10)
    assert not sketch.seen((200, 200), (220, 220))
    assert sketch.seen_point(200, 0, 250)


def test_streets_bend_only_gently():
    for seed in range(20):
        place = Placement.make(generator(seed), (128, 128), 1.0)
        line = place.pixels(np.stack([np.linspace(-60, 60, 121), np.zeros(121)], 1))
        steps = np.hypot(*np.diff(line, axis=0).T)
        assert 0.6 < steps.min() <= steps.max() < 1.6


@pytest.mark.parametrize('step', [3.0, 50.0])
def test_outlines_enclose_their_area(step):
    def area(points):
        x, y = points.T
        return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2

    assert area(rectangle((0, 0), (30, 20), step)) == pytest.approx(600)
    assert area(box(5, 5, 8, 4, 0.3)) == pytest.approx(32)
    assert area(disc(0, 0, 2, 60)) == pytest.approx(4 * np.pi, rel=0.01)
    assert area(blob(generator(2), (0, 0), (10, 10), rough=0.0, corners=200)) == pytest.approx(
        100 * np.pi, rel=0.01
    )


def test_a_plot_inside_another_keeps_its_dates():
    plot = Plot(_sketch(), (0, 0), (20, 10), AFTER)
    assert plot.inset(2).size == (16, 6)
    assert plot.inset(2).dates == AFTER
    assert plot.middle == (10, 5)
    assert plot.part((1, 1), (2, 2)).dates == AFTER
