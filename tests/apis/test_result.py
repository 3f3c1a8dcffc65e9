"""Test counts and pictures of a result."""

import numpy as np
from PIL import Image

from tfinet_mm.apis import SCDResult
from tfinet_mm.structures import SECOND


def make(seed=0, size=(20, 30)):
    rng = np.random.default_rng(seed)
    prob = rng.random(size, np.float32)
    covers = (rng.integers(1, 7, size).astype(np.uint8) for _ in range(2))
    images = (rng.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(2))
    return SCDResult(prob, prob >= 0.5, *covers, SECOND, *images, 'a pair')


def test_transitions_against_a_loop():
    result = make()
    expected = np.zeros((6, 6), int)
    for y in range(20):
        for x in range(30):
            if result.change[y, x]:
                expected[result.land_cover_from[y, x] - 1, result.land_cover_to[y, x] - 1] += 1
    np.testing.assert_array_equal(result.transition_matrix(), expected)
    assert result.transition_matrix().sum() == result.change.sum()


def test_picture(tmp_path):
    result = make()
    drawn = result.plot(tmp_path / 'new' / 'a.png', min_side=60)
    np.testing.assert_array_equal(Image.open(tmp_path / 'new' / 'a.png'), drawn)
    colours = {tuple(c) for c in np.asarray(drawn).reshape(-1, 3)}
    assert set(SECOND.palette) <= colours
    assert np.array_equal(result.plot(title='other', min_side=60), drawn) is False
    one = make(size=(1, 1)).plot(min_side=4)
    assert one.size[0] > 4
