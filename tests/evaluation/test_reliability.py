"""Test the errors of P(changed) by hand, on all pixels at once, and against scikit-learn."""

import numpy as np
import pytest
import torch

from tfinet_mm.calibration import NODES, Calibration
from tfinet_mm.errors import CalibrationError, LabelValueError
from tfinet_mm.evaluation.calibration_fit import fit_calibration
from tfinet_mm.evaluation.reliability import (
    EDGES,
    ChangeHistogram,
    calibration_scores,
    merged_pixels,
    operating_points,
    reliability_bins,
    reliability_report,
    threshold_for_precision,
)


def drawn(seed=0, size=200_000, scale=1.0):
    """Draw P(changed) of which sigmoid(scale * logit) is the probability of change."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.5, 2, size)
    change = rng.random(size) < 1 / (1 + np.exp(-scale * z))
    return (1 / (1 + np.exp(-z))).astype(np.float32), change.astype(np.uint8)


def counted(probability, change):
    shape = (1, -1)
    return ChangeHistogram.from_maps(
        torch.as_tensor(probability).reshape(shape), torch.as_tensor(change).reshape(shape)
    )


def test_scores_by_hand():
    """Four pixels in (0.2, 0.4), two in (0.8, 1): 0.25 against 0.5, and 0.9 against 0.5."""
    histogram = counted(
        np.array([0.22, 0.24, 0.26, 0.28, 0.85, 0.95]), np.array([0, 1, 1, 0, 1, 0])
    )
    scores = calibration_scores(histogram, bins=5)
    assert scores['ECE'] == pytest.approx((4 * 0.25 + 2 * 0.4) / 6)
    assert scores['MCE'] == pytest.approx(0.4)
    errors = [0.22, 0.76, 0.74, 0.28, 0.15, 0.95]
    assert scores['Brier'] == pytest.approx(np.mean(np.square(errors)))
    bins = reliability_bins(histogram, 5)
    assert [one.pixels for one in bins] == [0, 4, 0, 0, 2]
    assert bins[0].predicted is None
    assert bins[0].changed is None
    assert bins[4][:2] == (0.8, 1.0)
    assert bins[4].predicted == pytest.approx(0.9)


def test_bins_are_those_of_scikit_learn():
    calibration = pytest.importorskip('sklearn.calibration')
    metrics = pytest.importorskip('sklearn.metrics')
    probability, change = drawn()
    histogram = counted(probability, change)
    shares, means = calibration.calibration_curve(change, probability, n_bins=15)
    found = [one for one in reliability_bins(histogram) if one.pixels]
    np.testing.assert_allclose([one.changed for one in found], shares, rtol=1e-12)
    np.testing.assert_allclose([one.predicted for one in found], means, rtol=1e-6)
    brier = metrics.brier_score_loss(change, probability.astype(np.float64))
    assert calibration_scores(histogram)['Brier'] == pytest.approx(brier, rel=1e-9)
    pixels = np.histogram(probability, np.arange(16) / 15)[0]
    expected = np.average(np.abs(shares - means), weights=pixels)
    assert calibration_scores(histogram)['ECE'] == pytest.approx(expected, rel=1e-6)


def test_a_calibrated_and_an_overconfident_network():
    assert calibration_scores(counted(*drawn()))['ECE'] < 0.004
    assert calibration_scores(counted(*drawn(scale=0.4)))['ECE'] > 0.05


def test_parts_add_up_to_the_whole_also_as_a_vector():
    probability, change = drawn(size=1000)
    whole = counted(probability, change)
    parts = counted(probability[:300], change[:300]) + counted(probability[300:], change[300:])
    assert np.array_equal(parts.counts, whole.counts)
    again = ChangeHistogram.unflatten(parts.flatten())
    assert np.array_equal(again.counts, whole.counts)
    assert again.counts.dtype == np.int64
    assert calibration_scores(again) == pytest.approx(calibration_scores(whole))
    assert whole.pixels == 1000
    assert whole.changed == change.sum()


def test_the_histogram_of_replaced_probabilities_is_that_of_each_pixel():
    probability, change = drawn()
    moved = counted(probability, change).calibrated(lambda p: p**2)
    right = counted(probability.astype(np.float64) ** 2, change)
    assert moved.pixels == right.pixels
    assert moved.changed == right.changed
    for name, value in calibration_scores(right).items():
        assert calibration_scores(moved)[name] == pytest.approx(value, abs=2e-3), name


def test_ignored_pixels_are_left_out_and_bounds_are_bins():
    histogram = counted(np.array([0.0, 1.0, 0.5, 0.3]), np.array([0, 1, 1, 255]))
    assert histogram.pixels == 3
    assert histogram.counts[0, 0] == 1
    assert histogram.counts[1, -1] == 1
    # A border belongs to the bin above, so a threshold at it counts the pixel.
    assert histogram.counts[1, np.flatnonzero(EDGES == 0.5)[0]] == 1


@pytest.mark.parametrize(
    ('probability', 'change', 'said'),
    [
        ([0.5, 1.5], [0, 1], 'from 0 to 1'),
        ([0.5, float('nan')], [0, 1], 'from 0 to 1'),
        ([0.5, 0.5], [0, 7], 'holds 7'),
        ([0.5], [0, 1], 'one size'),
    ],
)
def test_wrong_maps_are_refused(probability, change, said):
    with pytest.raises(LabelValueError, match=said):
        counted(np.array(probability), np.array(change))


def test_the_threshold_of_a_precision_by_hand():
    """Of the pixels from 0.9 on 1 of 1 changed, from 0.6 on 2 of 3, from 0.2 on 3 of 6."""
    histogram = counted(
        np.array([0.9, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1]), np.array([1, 0, 1, 0, 0, 1, 0])
    )
    point = threshold_for_precision(histogram, 0.6)
    assert point.threshold <= 0.6 < point.threshold + 2 / 1500
    assert point.precision == pytest.approx(2 / 3)
    assert point.recall == pytest.approx(2 / 3)
    assert threshold_for_precision(histogram, 0.5).recall == 1
    assert threshold_for_precision(histogram, 1.0).recall == pytest.approx(1 / 3)


def test_the_points_are_those_of_scikit_learn():
    metrics = pytest.importorskip('sklearn.metrics')
    probability, change = drawn(size=5000)
    precision, recall, thresholds = metrics.precision_recall_curve(change, probability)
    for point in operating_points(counted(probability, change))[::50]:
        place = np.searchsorted(thresholds, point.threshold)
        assert point.precision == pytest.approx(precision[place])
        assert point.recall == pytest.approx(recall[place])


def test_a_precision_out_of_reach_is_refused_with_the_highest():
    histogram = counted(np.array([0.9, 0.8, 0.7, 0.1]), np.array([0, 1, 1, 0]))
    with pytest.raises(CalibrationError, match=r'highest is 66\.67 % from P\(changed\) 0\.7'):
        threshold_for_precision(histogram, 0.9)
    with pytest.raises(CalibrationError, match='no annotated pixel changed'):
        threshold_for_precision(counted(np.array([0.9]), np.array([0])), 0.9)


def test_no_pixels_and_odd_bins_are_refused():
    with pytest.raises(CalibrationError, match='no annotated pixels'):
        calibration_scores(ChangeHistogram.zeros())
    with pytest.raises(ValueError, match='divisor of 1500, got 7'):
        reliability_bins(ChangeHistogram.zeros(), 7)


def test_the_report_has_plain_values():
    report = reliability_report(counted(np.array([0.9, 0.2]), np.array([1, 0])), bins=2)
    assert report['pixels'] == 2
    assert report['ECE'] == pytest.approx(0.15)
    assert report['bins'][1] == dict(low=0.5, high=1.0, pixels=1, predicted=0.9, changed=1.0)


def bent(method, probability, change):
    """Return a calibration with flat parts, or a steep one."""
    if method == 'isotonic':
        # Flat from 0.4 to 0.6: no threshold on the calibrated values tells these apart.
        logit = np.linspace(-16, 16, NODES)
        p = 1 / (1 + np.exp(-logit))
        return Calibration(method, values=tuple(np.where((p > 0.4) & (p < 0.6), 0.5, p).tolist()))
    return fit_calibration(counted(probability, change), method)


@pytest.mark.parametrize('method', ['platt', 'isotonic'])
@pytest.mark.parametrize('precision', [0.45, 0.6, 0.8, 0.9])
def test_a_threshold_on_calibrated_pixels_has_its_precision(method, precision):
    """Steep: all P(changed) as predicted are within 0.03 to 0.07."""
    probability, change = drawn(size=20_000)
    if method == 'platt':
        logit = np.log(probability / (1 - probability))
        probability = 1 / (1 + np.exp(3 - 0.05 * logit))
    function = bent(method, probability, change)
    point = threshold_for_precision(counted(probability, change), precision, function)
    found = function(torch.from_numpy(probability)).numpy() >= point.threshold
    assert change[found].mean() == pytest.approx(point.precision, abs=1e-3)
    assert change[found].mean() >= precision - 1e-3
    assert change[found].sum() / change.sum() == pytest.approx(point.recall, abs=1e-3)


def test_pixels_that_a_flat_function_makes_equal_are_counted():
    probability, change = drawn(size=20_000)
    function = bent('isotonic', probability, change)
    before = probability >= 0.55
    after = function(torch.from_numpy(probability)).numpy() >= 0.5
    assert not (before & ~after).any()
    merged = merged_pixels(counted(probability, change), 0.55, function)
    assert merged == pytest.approx((after & ~before).sum(), abs=30)
    assert merged > 300
    assert merged_pixels(counted(probability, change), 0.7, function) == 0
