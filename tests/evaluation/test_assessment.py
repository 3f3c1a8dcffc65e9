"""Test areas and accuracies from stratified samples, on a worked example and by simulation."""

import math

import numpy as np
import pytest

from tfinet_mm.errors import AssessmentError
from tfinet_mm.evaluation.assessment import StratifiedSample, allocate, sample_size

# Olofsson et al. (2014), section 5: deforestation, gain, stable forest, stable other land.
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARES = 0.09


@pytest.fixture
def sample():
    return StratifiedSample(COUNTS, PIXELS * HECTARES)


def test_areas_of_the_worked_example(sample):
    whole = sample.sizes.sum()
    areas = [sample.class_share(index).times(whole) for index in range(4)]
    found = [(round(one.value, 2), round(one.interval[1] - one.value, 2)) for one in areas]
    assert found == [
        (21157.76, 6157.63),
        (11686.15, 3755.83),
        (285769.93, 15509.84),
        (581386.15, 16281.66),
    ]


def test_accuracies_of_the_worked_example(sample):
    users = [sample.users_accuracy(index) for index in range(4)]
    producers = [sample.producers_accuracy(index) for index in range(4)]
    assert [round(one.value, 4) for one in users] == [0.8800, 0.7333, 0.9273, 0.9631]
    assert [round(one.value, 4) for one in producers] == [0.7487, 0.8472, 0.9345, 0.9616]
    overall = sample.overall_accuracy()
    assert round(overall.value, 4) == 0.9465
    assert round(1.96 * overall.error, 4) == 0.0185
    # As published, in two digits.
    assert [round(1.96 * one.error, 2) for one in users] == [0.07, 0.10, 0.04, 0.02]
    assert [round(1.96 * one.error, 2) for one in producers] == [0.21, 0.25, 0.03, 0.02]


def test_standard_errors_are_those_of_the_equations(sample):
    points, weights = COUNTS.sum(1), PIXELS / PIXELS.sum()
    for j in range(4):
        rate = COUNTS[:, j] / points
        parts = weights**2 * rate * (1 - rate) / (points - 1)
        assert sample.class_share(j).error == pytest.approx(math.sqrt(parts.sum()))
        right = rate[j]
        expected = math.sqrt(right * (1 - right) / (points[j] - 1))
        assert sample.users_accuracy(j).error == pytest.approx(expected)
        producers, area = sample.producers_accuracy(j), (PIXELS * rate).sum()
        squares = PIXELS**2 * rate * (1 - rate) / (points - 1)
        inside = squares[j] * (1 - producers.value) ** 2
        outside = (squares.sum() - squares[j]) * producers.value**2
        assert producers.error == pytest.approx(math.sqrt(inside + outside) / area)


def test_areas_are_those_of_acatama(sample):
    """Its stratified estimator counts pixels of a plane; it prints standard errors."""
    wi = [pixels / sum(PIXELS) for pixels in PIXELS]
    for j in range(4):
        area = variance = 0.0
        for i, row in enumerate(COUNTS.tolist()):
            area += wi[i] * row[j] / sum(row)
            variance += wi[i] ** 2 * (row[j] / sum(row)) * (1 - row[j] / sum(row)) / (sum(row) - 1)
        whole = sum(PIXELS) * HECTARES
        found = sample.class_share(j).times(sample.sizes.sum())
        assert found.value == pytest.approx(area * whole)
        assert found.error == pytest.approx(variance**0.5 * whole)


def test_intervals_cover_the_truth():
    """A map with errors, drawn again and again: 95 % of the intervals hold the true number."""
    rng = np.random.default_rng(0)
    truth = np.array([[0.80, 0.15, 0.05], [0.05, 0.90, 0.05], [0.06, 0.09, 0.85]])
    sizes = np.array([0.05, 0.25, 0.7])
    cells = sizes[:, None] * truth
    accuracies = np.trace(cells), truth[0, 0], cells[0, 0] / cells[:, 0].sum()
    true = np.array([*cells.sum(0), *accuracies])
    hits = np.zeros(len(true))
    draws = 2000
    for _ in range(draws):
        counts = np.stack([rng.multinomial(500, row) for row in truth])
        sample = StratifiedSample(counts, sizes)
        found = [sample.class_share(index) for index in range(3)]
        found += [sample.overall_accuracy(), sample.users_accuracy(0), sample.producers_accuracy(0)]
        limits = np.array([one.interval for one in found]).T
        hits += (limits[0] <= true) & (true <= limits[1])
    assert (hits / draws > 0.935).all(), hits
    assert (hits / draws < 0.965).all(), hits


def test_sizes_and_allocations():
    weights, expected = [0.02, 0.015, 0.32, 0.645], [0.7, 0.6, 0.9, 0.95]
    number = sample_size(weights, expected, 0.01)
    assert number == 641
    assert allocate(number, weights).tolist() == [13, 10, 205, 413]
    assert allocate(number, weights, 'equal').tolist() == [161, 160, 160, 160]
    neyman = allocate(number, weights, 'neyman', accuracies=expected)
    spread = np.array(weights) * np.sqrt(np.array(expected) * (1 - np.array(expected)))
    assert np.abs(neyman - number * spread / spread.sum()).max() < 1
    # No other allocation of as many points has a smaller variance of overall accuracy.
    assert ((spread**2 / neyman).sum()) <= ((spread**2 / allocate(number, weights)).sum())
    least = allocate(number, weights, minimum=75)
    assert least.sum() == number
    assert least[:2].tolist() == [75, 75]
    assert allocate(10, weights, minimum=75).tolist() == [75] * 4
    few = allocate(number, weights, minimum=75, available=[20, 10**6, 100, 10**6])
    assert few.tolist() == [20, 75, 100, 446]


@pytest.mark.parametrize(
    ('act', 'message'),
    [
        (lambda: sample_size([1], [0.9], 0), 'standard error of overall accuracy above 0'),
        (lambda: sample_size([1], [1.0], 0.01), 'accuracies above 0 and below 1'),
        (lambda: allocate(9, [1, 0]), 'all above 0, got'),
        (lambda: allocate(9, [1], 'some'), "got 'some'"),
        (lambda: allocate(9, [1], 'neyman'), 'needs the expected'),
        (lambda: StratifiedSample([[5, 0], [1, 0]], [1, 1], ['a', 'b']), r'fewer in: b \(1\)'),
        (lambda: StratifiedSample([[5, 0]], [1, 1]), 'each of 1 strata, got 2 sizes'),
        (lambda: StratifiedSample([[0.5, 2]], [1]), 'whole numbers'),
    ],
)
def test_refusals(act, message):
    with pytest.raises(AssessmentError, match=message):
        act()
