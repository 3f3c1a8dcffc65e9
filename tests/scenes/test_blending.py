import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.blending import (
    Prediction,
    WindowPlan,
    blend,
    blending_weight,
    fill_invalid,
)

PLANS = [
    WindowPlan(50, 41, 16, 4),
    WindowPlan(16, 16, 16, 8),
    WindowPlan(9, 40, 16, 8),
    WindowPlan(40, 3, 16, 8),
    WindowPlan(33, 35, 16, 15),
    WindowPlan(33, 35, 16, 0),
    WindowPlan(1, 1, 16, 4),
    WindowPlan(17, 17, 16, 4),
]


def predictions(plan, function, valid=None, done=0):
    """Return ``function(window)`` for each window."""
    for row in plan.rows(plan.first_needed(done)):
        for window in row:
            mask = np.ones((window.height, window.width), bool)
            if valid is not None:
                mask = valid[window.slices()]
            yield Prediction(window, function(window) if mask.any() else None, mask)


def merge_edges(stripes):
    stripes = list(stripes)
    tops = [stripe.top for stripe in stripes]
    ends = [stripe.top + stripe.values.shape[1] for stripe in stripes]
    assert tops[1:] == ends[:-1]
    return (
        np.concatenate([stripe.values for stripe in stripes], axis=1),
        np.concatenate([stripe.valid for stripe in stripes]),
    )


@pytest.mark.parametrize('plan', PLANS)
def test_windows_cover_the_scene_and_stay_inside(plan):
    seen = np.zeros((plan.height, plan.width), int)
    for row in plan.rows():
        for window in row:
            assert window.left + window.width <= plan.width
            assert window.top + window.height <= plan.height
            seen[window.slices()] += 1
    assert seen.min() >= 1


@pytest.mark.parametrize('plan', PLANS)
def test_windows_of_one_image_give_the_image(plan):
    image = np.random.default_rng(0).random((3, plan.height, plan.width)).astype(np.float32)
    found, valid = merge_edges(
        blend(plan, predictions(plan, lambda w: image[(slice(None), *w.slices())]), 3)
    )
    np.testing.assert_allclose(found, image, rtol=2e-6)
    assert valid.all()


@pytest.mark.parametrize('plan', PLANS)
def test_the_mean_is_that_of_a_whole_image_computation(plan):
    """Blend by sums over the whole scene in float64, window after window."""
    generator = np.random.default_rng(1)
    maps = {w: generator.random((2, w.height, w.width)) for row in plan.rows() for w in row}
    total, weights = np.zeros((2, plan.height, plan.width)), np.zeros((plan.height, plan.width))
    for window, values in maps.items():
        weight = blending_weight(window.height, window.width, plan.overlap).astype(float)
        total[(slice(None), *window.slices())] += values * weight
        weights[window.slices()] += weight
    found, _ = merge_edges(blend(plan, predictions(plan, lambda w: maps[w].astype(np.float32)), 2))
    np.testing.assert_allclose(found, total / weights, rtol=1e-5)


@pytest.mark.parametrize('plan', PLANS)
def test_blocks_of_rows_give_the_bits_of_a_whole_image_computation(plan):
    """Blend by sums over the whole scene in float32, window after window."""
    generator = np.random.default_rng(5)
    valid = np.ones((plan.height, plan.width), bool)
    valid[: plan.height // 2, : plan.width // 2] = False
    total = np.zeros((3, plan.height, plan.width), np.float32)
    weights = np.zeros((plan.height, plan.width), np.float32)
    made = {}
    for window in (window for row in plan.rows() for window in row):
        place = window.slices()
        if valid[place].any():
            weight = blending_weight(window.height, window.width, plan.overlap)
            made[window] = generator.random((3, *weight.shape)).astype(np.float32)
            total[(slice(None), *place)] += made[window] * weight
            weights[place] += weight
    expected = np.full_like(total, np.nan)
    np.divide(total, weights, out=expected, where=valid)
    parts = {window: [one[:2], one[2:]] for window, one in made.items()}
    for most_rows, given in ((None, made), (1, made), (3, parts)):
        stripes = list(blend(plan, predictions(plan, given.get, valid), 3, most_rows=most_rows))
        assert max(len(stripe.valid) for stripe in stripes) <= (most_rows or plan.size)
        found, mask = merge_edges(stripes)
        assert found.tobytes() == expected.tobytes()
        np.testing.assert_array_equal(mask, valid)


@pytest.mark.parametrize(('size', 'overlap'), [(16, 4), (16, 8), (15, 1), (64, 17)])
def test_neighbours_sum_to_one(size, overlap):
    weight = blending_weight(1, size, overlap)[0]
    assert weight.min() > 0
    np.testing.assert_allclose(weight[-overlap:] + weight[:overlap], 1, atol=1e-6)
    # cos(pi x) form of the squared sine, at the ramp's pixel centres.
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap) + 0.5) / overlap)
    np.testing.assert_allclose(weight[:overlap], ramp, atol=1e-6)


@pytest.mark.parametrize('width', [200, 173, 97])
def test_no_seam_where_windows_disagree(width):
    """Each window is off by another constant; no step is larger than the ramp's steepest."""
    plan = WindowPlan(width, 130, 64, 32)
    generator = np.random.default_rng(2)
    offsets = {window: generator.random() for row in plan.rows() for window in row}

    def level(window):
        return np.full((1, window.height, window.width), offsets[window], np.float32)

    found, _ = merge_edges(blend(plan, predictions(plan, level), 1))
    # The ramp's steepest step is pi / 2 / 32 = 0.05; with four windows, and the last ones
    # moved back, a little more. Without blending there are steps of up to 1.
    assert np.abs(np.diff(found, axis=1)).max() < 0.12
    assert np.abs(np.diff(found, axis=2)).max() < 0.12
    assert np.ptp(found) > 0.5


@pytest.mark.parametrize('plan', PLANS)
def test_going_on_from_any_finished_row_gives_the_same_bits(plan):
    generator = np.random.default_rng(3)
    maps = {
        w: generator.random((2, w.height, w.width)).astype(np.float32)
        for row in plan.rows()
        for w in row
    }
    whole, _ = merge_edges(blend(plan, predictions(plan, maps.get), 2))
    for _, done in plan.stripes[:-1]:
        rest, _ = merge_edges(blend(plan, predictions(plan, maps.get, done=done), 2, done))
        np.testing.assert_array_equal(rest, whole[:, done:])
    assert list(blend(plan, [], 2, plan.height)) == []


def test_pixels_without_data_have_none_in_the_result():
    plan = WindowPlan(60, 50, 16, 8)
    valid = np.ones((50, 60), bool)
    valid[:30, :30] = False
    valid[45, 50] = False
    one = np.ones((1, 16, 16), np.float32)
    found, mask = merge_edges(blend(plan, predictions(plan, lambda _: one, valid), 1))
    np.testing.assert_array_equal(mask, valid)
    np.testing.assert_array_equal(np.isnan(found[0]), ~valid)
    np.testing.assert_allclose(found[0, valid], 1, rtol=1e-6)


def test_memory_is_a_row_of_windows():
    import tracemalloc

    plan = WindowPlan(256, 4096, 32, 8)
    zeros = np.zeros((4, 32, 32), np.float32)
    tracemalloc.start()
    for stripe in blend(plan, predictions(plan, lambda _: zeros), 4):
        assert stripe.values.shape[1] <= 32
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * (4 + 2) * 4 * 32 * 256


def test_predictions_that_do_not_fit():
    plan = WindowPlan(20, 20, 16, 4)
    made = list(predictions(plan, lambda _: np.zeros((1, 16, 16), np.float32)))
    with pytest.raises(SceneError, match='stop before'):
        list(blend(plan, made[:-1], 1))
    with pytest.raises(SceneError, match='in the order of the plan'):
        list(blend(plan, made[::-1], 1))
    with pytest.raises(SceneError, match=r'\(2, 16, 16\).*got \(1, 16, 16\)'):
        list(blend(plan, made, 2))
    with pytest.raises(SceneError, match='got None'):
        list(blend(plan, [made[0]._replace(values=None)], 1))
    with pytest.raises(SceneError, match='got None'):
        list(
            blend(plan, [made[0]._replace(values=[np.zeros((1, 16, 8)), np.zeros((1, 8, 16))])], 2)
        )


@pytest.mark.parametrize('numbers', [(0, 5, 4, 1), (5, 5, 4, 4), (5, 5, 4, -1), (5, 5, 0, 0)])
def test_plans_that_are_none(numbers):
    with pytest.raises(SceneError, match='expected a scene'):
        WindowPlan(*numbers)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_filling_takes_the_nearest_valid_pixel(dtype):
    generator = np.random.default_rng(4)
    pair = generator.integers(1, 255, (6, 40, 30)).astype(dtype)
    valid = generator.random((40, 30)) > 0.7
    valid[5:25, 8:28] = False
    pair[:, ~valid] = 0
    filled = fill_invalid(pair, valid)
    assert filled.dtype == dtype
    assert filled.shape == pair.shape
    np.testing.assert_array_equal(filled[:, valid], pair[:, valid])
    sources = np.argwhere(valid)
    for row, column in np.argwhere(~valid):
        distance = np.hypot(*(sources - (row, column)).T)
        near = sources[distance <= distance.min() * 1.05]
        assert any((filled[:, row, column] == pair[:, r, c]).all() for r, c in near)


def test_nothing_to_fill_or_to_fill_from():
    pair = np.ones((2, 4, 4), np.uint8)
    for valid in (np.ones((4, 4), bool), np.zeros((4, 4), bool)):
        assert fill_invalid(pair, valid) is pair
