import numpy as np
import pytest

from tfinet_mm.datasets.synthetic.events import (
    SPREADING,
    TRANSITIONS,
    apply_events,
    choose_share,
)
from tfinet_mm.datasets.synthetic.layout import SURROUNDINGS, make_layout
from tfinet_mm.datasets.synthetic.raster import Frame, generator


def make(seed):
    rng = generator(seed)
    layout = make_layout(rng, Frame.make(rng, (300, 300)))
    return rng, layout, np.full(len(layout.parcels), 1 / len(layout.parcels))


def test_every_use_can_change():
    assert set(TRANSITIONS) == {use for weights in SURROUNDINGS.values() for use in weights}


def test_share_zero_changes_nothing():
    rng, layout, visible = make(0)
    assert apply_events(rng, layout, visible, 0.0) is layout


@pytest.mark.parametrize('share', [0.1, 0.4])
def test_share_is_about_reached(share):
    reached = []
    for seed in range(20):
        rng, layout, visible = make(seed)
        parcels = apply_events(rng, layout, visible, share).parcels
        reached.append(np.mean([parcel.before != parcel.after for parcel in parcels]))
    # Most events change most of a parcel, some only a part.
    assert share <= np.mean(reached) < 2 * share


def test_only_plausible_changes():
    seen = set()
    for seed in range(30):
        rng, layout, visible = make(seed)
        for old, new in zip(
            layout.parcels, apply_events(rng, layout, visible, 0.9).parcels, strict=True
        ):
            if new.before == new.after:
                continue
            use, becomes = old.before[0].use, new.after[-1].use
            assert becomes == use or becomes in TRANSITIONS[use]
            if becomes == use:
                assert {'infill', use} & set(TRANSITIONS[use])
            if new.riverside:
                assert becomes in SPREADING
            seen.add((use, becomes))
    assert {
        ('field', 'industry'), ('forest', 'bare'), ('field', 'pond'), ('field', 'sports'),
        ('houses', 'blocks'), ('industry', 'industry'), ('field', 'road'), ('bare', 'forest'),
    } <= seen  # fmt: skip


def test_invisible_parcels_stay():
    rng, layout, visible = make(1)
    visible[1:] = 0
    parcels = apply_events(rng, layout, visible, 0.9).parcels
    assert all(parcel.before == parcel.after for parcel in parcels[1:])
    assert parcels[0].before != parcels[0].after


def test_choose_share_without_change_and_on_average():
    rng = generator(0)
    shares = np.array([choose_share(rng, 0.2, 0.1) for _ in range(4000)])
    assert 0.08 < (shares == 0).mean() < 0.12
    assert 0 <= shares.min() <= shares.max() <= 0.95
    assert choose_share(rng, 0.0, 0.0) == 0
    doubled = np.mean([choose_share(rng, 0.1, 0.1) for _ in range(4000)])
    assert 0.4 < doubled / shares.mean() < 0.65
