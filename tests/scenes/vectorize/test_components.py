import numpy as np
import pytest
from scipy import ndimage

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.vectorize.components import Components


def areas_of(values, prob, connectivity, rows):
    """Return (value, pixels, sum of prob) and the pixels of every region, added in blocks."""
    height, width = values.shape
    components = Components(width, connectivity)
    pending, done = [], []
    for top in range(0, height, rows):
        part = slice(top, min(top + rows, height))
        block = components.add(values[part], prob[part], last=part.stop == height)
        pixels = [[] for _ in block.values]
        for old, number in zip(pending, block.above, strict=True):
            pixels[number] += old
        for y, x in np.argwhere(block.labels):
            pixels[block.labels[y, x] - 1].append((y + top, x))
        for number, own in enumerate(block.own):
            ys, xs = np.nonzero(block.labels == number + 1)
            assert len(ys) == own
            if own:
                box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
                assert block.boxes[number].tolist() == box
        found = zip(block.values, block.sums, pixels, block.open, strict=True)
        done += [(v, *s, frozenset(p)) for v, s, p, is_open in found if not is_open]
        pending = [p for p, is_open in zip(pixels, block.open, strict=True) if is_open]
    assert not pending
    return done


@pytest.mark.parametrize('connectivity', [4, 8])
@pytest.mark.parametrize('rows', [1, 2, 5, 40])
@pytest.mark.parametrize(('share', 'kinds', 'width'), [(0.6, 2, 23), (0.3, 3, 17), (0.9, 1, 1)])
def test_areas_are_those_of_scipy(connectivity, rows, share, kinds, width):
    """Each value labelled separately in the whole raster gives the same as blocks."""
    generator = np.random.default_rng(0)
    values = generator.integers(1, kinds + 1, (31, width))
    values[generator.random(values.shape) > share] = 0
    prob = generator.random(values.shape)
    expected = set()
    for value in range(1, kinds + 1):
        structure = np.ones((3, 3)) if connectivity == 8 else None
        labels, count = ndimage.label(values == value, structure)
        for number in range(1, count + 1):
            here = labels == number
            pixels = frozenset(map(tuple, np.argwhere(here).tolist()))
            expected.add((value, pixels, round(prob[here].sum(), 9)))
    found = areas_of(values, prob, connectivity, rows)
    assert {(v, frozenset(p), round(s, 9)) for v, n, s, p in found} == expected
    assert len(found) == len(expected)
    assert all(n == len(p) for _, n, _, p in found)


def test_a_comb_is_one_area():
    """Teeth that meet at the bottom only, after several blocks."""
    values = np.zeros((9, 11), np.uint8)
    values[:, ::2] = 4
    values[-1] = 4
    (found,) = areas_of(values, np.ones(values.shape), 4, rows=2)
    assert found[:3] == (4, (values > 0).sum(), (values > 0).sum())


def test_nothing():
    values = np.zeros((5, 4), np.uint8)
    assert areas_of(values, np.ones(values.shape), 4, rows=2) == []


def test_other_connectivity():
    with pytest.raises(SceneError, match='4 or 8, got 6'):
        Components(5, 6)
