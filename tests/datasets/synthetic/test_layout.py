import numpy as np
import pytest

from tfinet_mm.datasets.synthetic.layout import SURROUNDINGS, choose, fits_sports, make_layout
from tfinet_mm.datasets.synthetic.raster import Frame, generator

BUILT = {'houses', 'blocks', 'industry'}


def make(seed, shape=(168, 168)):
    rng = generator(seed)
    frame = Frame.make(rng, shape)
    return frame, make_layout(rng, frame)


def inside(frame, part):
    u, v = frame.bent
    return (u >= part.low[0]) & (u < part.high[0]) & (v >= part.low[1]) & (v < part.high[1])


@pytest.mark.parametrize('seed', range(6))
def test_each_pixel_is_on_one_parcel_or_strip(seed):
    frame, layout = make(seed)
    parcels = sum(inside(frame, parcel).astype(int) for parcel in layout.parcels)
    strips = sum(inside(frame, strip).astype(int) for strip in layout.strips)
    assert parcels.max() == 1
    assert ((parcels + strips) >= 1).all()


@pytest.mark.parametrize('seed', range(6))
def test_parcels_are_large_enough_for_what_is_on_them(seed):
    _, layout = make(seed)
    for parcel in layout.parcels:
        assert min(parcel.size) > 10
        assert parcel.before == parcel.after
        if parcel.before[0].use == 'sports':
            assert fits_sports(*parcel.size)


def test_nothing_is_built_in_a_river():
    met = 0
    for seed in range(40):
        frame, layout = make(seed)
        if layout.river is None:
            continue
        met += 1
        wet = layout.river.distance(*frame.straight) < layout.river.width
        for parcel in layout.parcels:
            if parcel.before[0].use in BUILT:
                assert (wet & inside(frame, parcel)).sum() < 5
    assert 2 < met < 20


def test_large_layouts_mix_surroundings():
    _, layout = make(0, (700, 700))
    uses = {parcel.before[0].use for parcel in layout.parcels}
    assert len(layout.parcels) > 60
    assert uses >= {'field', 'houses', 'forest', 'industry', 'blocks'}
    assert {strip.kind for strip in layout.strips} == {'road', 'lane', 'hedge'}


def test_choose_follows_the_weights():
    rng = generator(0)
    drawn = [choose(rng, dict(a=1, b=3, c=0)) for _ in range(2000)]
    assert 0.7 < drawn.count('b') / 2000 < 0.8
    assert drawn.count('c') == 0


def test_all_uses_are_met_somewhere():
    uses = {use for weights in SURROUNDINGS.values() for use in weights}
    assert uses == {
        *BUILT, 'field', 'meadow', 'forest', 'park', 'bare', 'paved', 'pond', 'sports',
    }  # fmt: skip


def test_river_distance():
    _, layout = next(item for item in map(make, range(100)) if item[1].river is not None)
    river = layout.river
    u = np.array([0.0, 10.0])
    expected = river.offset - river.bow * np.sin(u / river.bend + river.phase)
    np.testing.assert_allclose(river.distance(u, expected), 0, atol=1e-9)
    np.testing.assert_allclose(river.distance(u, expected + 7), 7)
