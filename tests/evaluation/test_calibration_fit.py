"""Test fitted calibrations against known parameters and scikit-learn."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tfinet_mm.calibration import LOGIT_LIMIT, NODES
from tfinet_mm.errors import CalibrationError, MissingExtraError
from tfinet_mm.evaluation.calibration_fit import check_method, cross_fitted, fit_calibration
from tfinet_mm.evaluation.pair_keys import KEPT, kept_keys, pair_key, shared_pairs
from tfinet_mm.evaluation.reliability import ChangeHistogram, calibration_scores

HELPERS = runpy.run_path(str(Path(__file__).with_name('test_reliability.py')))
drawn, counted = HELPERS['drawn'], HELPERS['counted']


@pytest.mark.parametrize('scale', [0.4, 1.0, 2.5])
def test_the_temperature_of_a_network_is_found(scale):
    found = fit_calibration(counted(*drawn(scale=scale)), 'temperature')
    assert found.scale == pytest.approx(scale, rel=0.02)
    assert found.bias == 0
    assert found.origin['pixels'] == 200_000


@pytest.mark.parametrize('size', [50, 1000, 50_000])
@pytest.mark.parametrize('surer', [3, 10, 30])
def test_networks_that_are_much_too_sure_are_calibrated(size, surer):
    """Newton's first step goes beyond 0 there."""
    linear = pytest.importorskip('sklearn.linear_model')
    rng = np.random.default_rng(0)
    z = rng.normal(-1, 2, size)
    change = (rng.random(size) < 1 / (1 + np.exp(-z))).astype(np.uint8)
    probability = (1 / (1 + np.exp(-surer * z))).clip(1e-7, 1 - 1e-7)
    logit = np.log(probability / (1 - probability))[:, None]
    for method, bias in (('temperature', False), ('platt', True)):
        model = linear.LogisticRegression(C=np.inf, fit_intercept=bias, tol=1e-10)
        model.fit(logit, change)
        found = fit_calibration(counted(probability, change), method)
        assert found.scale == pytest.approx(model.coef_[0, 0], rel=5e-3)


def test_parameters_are_those_of_logistic_regression():
    linear = pytest.importorskip('sklearn.linear_model')
    probability, change = drawn(size=20_000, scale=0.6)
    probability = np.where(change == 1, probability**1.3, probability)
    values = probability.astype(np.float64)
    z = np.log(values / (1 - values))[:, None]
    for method, bias in (('temperature', False), ('platt', True)):
        model = linear.LogisticRegression(C=np.inf, fit_intercept=bias, tol=1e-10)
        model.fit(z, change)
        found = fit_calibration(counted(probability, change), method)
        # Bins are up to 1/1500 wide.
        assert found.scale == pytest.approx(model.coef_[0, 0], rel=1e-3)
        assert found.bias == pytest.approx(float(np.ravel(model.intercept_)[0]), abs=1e-3)


def test_isotonic_values_are_those_of_scikit_learn():
    isotonic = pytest.importorskip('sklearn.isotonic')
    rng = np.random.default_rng(1)
    probability = rng.choice(np.arange(15, 1500, 30) / 1500, 20_000)
    change = rng.random(20_000) < 0.15 + 0.7 * np.sin(probability * 1.9) ** 2
    model = isotonic.IsotonicRegression(y_min=0, y_max=1, out_of_bounds='clip')
    model.fit(probability, change)
    found = fit_calibration(counted(probability, change.astype(np.uint8)), 'isotonic')
    nodes = 1 / (1 + np.exp(-np.linspace(-LOGIT_LIMIT, LOGIT_LIMIT, NODES)))
    np.testing.assert_allclose(found.values, model.predict(nodes), atol=1e-9)
    grid = torch.linspace(0, 1, 501, dtype=torch.float64)
    # Between the nodes, straight over the logit and not over P(changed).
    np.testing.assert_allclose(found(grid).numpy(), model.predict(grid.numpy()), atol=1e-2)


@pytest.mark.parametrize('method', ['temperature', 'platt', 'isotonic'])
def test_the_error_falls_on_other_pixels(method):
    fitted = fit_calibration(counted(*drawn(1, scale=0.4)), method)
    probability, change = drawn(2, scale=0.4)
    before = calibration_scores(counted(probability, change))
    after = calibration_scores(counted(fitted(torch.from_numpy(probability)), change))
    assert before['ECE'] > 0.05
    assert after['ECE'] < 0.005
    assert after['Brier'] < before['Brier']
    short = calibration_scores(counted(probability, change).calibrated(fitted))
    assert short['Brier'] == pytest.approx(after['Brier'], abs=1e-4)


def histogram_of(probability, unchanged, changed):
    """Count so many pixels of each P(changed)."""
    values = np.repeat(np.tile(probability, 2), [*unchanged, *changed])
    return counted(values, np.repeat([0, 1], [sum(unchanged), sum(changed)]).astype(np.uint8))


def likeliest(probability, unchanged, changed, bias):
    """Return scale and bias of scikit-learn's logistic regression."""
    linear = pytest.importorskip('sklearn.linear_model')
    z = np.log(np.array(probability) / (1 - np.array(probability)))
    model = linear.LogisticRegression(
        C=np.inf, fit_intercept=bias, tol=1e-12, max_iter=10_000, solver='newton-cholesky'
    )
    labels = np.repeat([0, 1], len(z))
    model.fit(np.tile(z, 2)[:, None], labels, sample_weight=[*unchanged, *changed])
    return model.coef_[0, 0], float(np.ravel(model.intercept_)[0])


@pytest.mark.parametrize('seed', range(40))
@pytest.mark.parametrize('method', ['temperature', 'platt'])
def test_the_optimum_of_few_values_is_found(seed, method):
    """Such as those of networks in 8 bits, whose P(changed) is close to 0 and 1 in places."""
    rng = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-rng.normal(0, rng.choice([2, 5, 9]), 4)))
    probability = np.sort(probability.clip(1e-6, 1 - 1e-6))
    unchanged = rng.integers(1, 2000, 4)
    changed = rng.integers(1, 2000, 4)
    expected = likeliest(probability, unchanged, changed, bias=method == 'platt')
    pixels = histogram_of(probability, unchanged, changed)
    mean = pixels.sums.sum(1) / pixels.counts.sum(1)
    if expected[0] <= 0.01 or mean[1] <= mean[0]:
        with pytest.raises(CalibrationError):
            fit_calibration(pixels, method)
        return
    found = fit_calibration(pixels, method)
    assert (found.scale, found.bias) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_a_scale_far_from_1_is_found():
    """A step that is longer than the way to the optimum leads uphill here."""
    probability, unchanged, changed = [0.118, 0.99986, 0.99995], (327, 255, 954), (13, 16, 307)
    found = fit_calibration(histogram_of(probability, unchanged, changed), 'platt')
    expected = likeliest(probability, unchanged, changed, bias=True)
    assert expected == pytest.approx((0.187, -3.12), abs=0.01)
    assert (found.scale, found.bias) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize('method', ['temperature', 'platt', 'isotonic'])
def test_a_rising_function_only(method):
    probability, change = drawn()
    with pytest.raises(CalibrationError, match=r'no higher P.* means are 0\.\d+ and 0\.\d+; fit'):
        fit_calibration(counted(probability, 1 - change), method)
    with pytest.raises(CalibrationError, match=r'0\.7 at every pixel'):
        fit_calibration(counted(np.full(9, 0.7), np.arange(9) % 2), method)


def test_labels_told_apart_without_an_error():
    apart = counted(np.array([0.6, 0.7]), np.array([0, 1]))
    with pytest.raises(CalibrationError, match=r'a threshold tells .* without an error'):
        fit_calibration(apart, 'platt')
    with pytest.raises(CalibrationError, match=r'the threshold 0\.5 tells .* without an error'):
        fit_calibration(counted(np.array([0.4, 0.6]), np.array([0, 1])), 'temperature')
    assert fit_calibration(apart, 'isotonic').values[-1] == 1


def test_what_a_temperature_cannot_mend():
    """P(changed) is above 0.5 for all pixels, and higher where they changed."""
    rng = np.random.default_rng(0)
    change = (np.arange(5000) % 10 == 0).astype(np.uint8)
    probability = 1 / (1 + np.exp(-rng.normal(8 + 3 * change, 1)))
    with pytest.raises(CalibrationError, match=r"wrong side of 0\.5.* take 'platt'"):
        fit_calibration(counted(probability, change), 'temperature')
    # By linear discriminant analysis, 3 / 1 and log(0.1 / 0.9) - (11^2 - 8^2) / 2.
    found = fit_calibration(counted(probability, change), 'platt')
    assert (found.scale, found.bias) == pytest.approx((3, np.log(1 / 9) - 28.5), rel=0.1)


@pytest.mark.parametrize('label', [0, 1])
def test_one_kind_of_pixels_is_refused(label):
    with pytest.raises(CalibrationError, match='changed and unchanged'):
        fit_calibration(counted(np.array([0.5, 0.6]), np.full(2, label)), 'platt')


def test_an_unknown_method_is_refused():
    with pytest.raises(CalibrationError, match='temperature, platt, isotonic'):
        fit_calibration(ChangeHistogram.zeros(), 'beta')


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'scipy.optimize', None)
    histogram = counted(*drawn(size=1000))
    with pytest.raises(MissingExtraError, match=r'tfinet-mm\[calibration\]'):
        fit_calibration(histogram, 'isotonic')
    # Also before a test of many pairs.
    with pytest.raises(MissingExtraError, match=r'SciPy 1\.12'):
        check_method('isotonic')
    check_method('platt')
    assert fit_calibration(histogram, 'platt').scale > 0


def test_folds_are_calibrated_by_the_others():
    """Two folds of opposite miscalibration: each gets the temperature of the other."""
    sharp, flat = counted(*drawn(1, scale=0.4)), counted(*drawn(2, scale=2.5))
    found = cross_fitted([sharp, ChangeHistogram.zeros(), flat], 'temperature')
    expected = sharp.calibrated(fit_calibration(flat, 'temperature')) + flat.calibrated(
        fit_calibration(sharp, 'temperature')
    )
    assert calibration_scores(found) == calibration_scores(expected)
    assert calibration_scores(found)['ECE'] > calibration_scores(sharp + flat)['ECE']


def test_too_little_for_folds():
    some = counted(*drawn(size=100))
    unchanged = counted(np.array([0.3]), np.array([0]))
    assert cross_fitted([some], 'platt') is None
    assert cross_fitted([some, unchanged, ChangeHistogram.zeros()], 'platt') is None


def test_keys_tell_pairs_apart_by_name_and_annotation():
    first, second = np.zeros((4, 4), np.uint8), np.eye(4, dtype=np.uint8)
    keys = {pair_key(name, change) for name in ('a', 'b') for change in (first, second)}
    assert len(keys) == 4
    assert pair_key('a', second) == pair_key('a', second.T)
    many = kept_keys(range(5 * KEPT, 0, -1))
    assert many == list(range(1, KEPT + 1))
    assert shared_pairs(many, [5, 2000, 7]) == 2
