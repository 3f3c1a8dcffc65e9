"""Fit calibrations of P(changed) to the counts of a fine histogram."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tfinet_mm.calibration import (
    LOGIT_LIMIT,
    METHODS,
    NODES,
    PLAIN_VIEWS,
    Calibration,
    logits,
    views_key,
)
from tfinet_mm.errors import CalibrationError, MissingExtraError
from tfinet_mm.evaluation.reliability import ChangeHistogram

STEPS = 500
"""Greatest number of Newton's steps; it takes about ten."""
SCALES = (0.01, 100.0)
"""Range of the factor of the logit."""
MORE_PAIRS = 'fit it on more pairs, and check their labels'


def check_method(method: str) -> None:
    """Check that a calibration can be fitted, before pairs are predicted for it.

    Raises:
        CalibrationError: The method is unknown.
        MissingExtraError: SciPy isn't installed, which ``'isotonic'`` needs.
    """
    if method not in METHODS:
        raise CalibrationError(f'the method is one of {", ".join(METHODS)}, got {method!r}')
    if method == 'isotonic':
        _isotonic_regression()


def _isotonic_regression() -> Any:
    try:
        return importlib.import_module('scipy.optimize').isotonic_regression
    except (ImportError, AttributeError) as error:
        raise MissingExtraError(
            f'An isotonic calibration needs SciPy 1.12 or newer ({error}): pip install '
            '"tfinet-mm[calibration]"'
        ) from error


def fit_calibration(
    histogram: ChangeHistogram,
    method: str,
    views: Sequence[str] = PLAIN_VIEWS,
    origin: Mapping[str, Any] | None = None,
) -> Calibration:
    """Fit a calibration by maximum likelihood, or for ``'isotonic'`` by least squares.

    Args:
        histogram: Pixels of pairs that the network wasn't trained on.
        method: One of :data:`~tfinet_mm.calibration.METHODS`.
        views: Names of the views that were averaged.
        origin: Facts to keep; numbers of pixels are added.

    Raises:
        CalibrationError: The pixels are all of one kind or of one P(changed), changed ones have
            no higher P(changed) than others, or no factor of the logit from 0.01 to 100 fits.
        MissingExtraError: SciPy isn't installed, which ``'isotonic'`` needs.
    """
    check_method(method)
    unchanged = histogram.pixels - histogram.changed
    if not histogram.changed or not unchanged:
        raise CalibrationError(
            f'a calibration needs changed and unchanged pixels, got {histogram.changed} and '
            f'{unchanged}; fit it on more pairs'
        )
    _check_order(histogram)
    facts = dict(origin or {}) | dict(pixels=histogram.pixels, changed=histogram.changed)
    key = views_key(views)
    if method == 'isotonic':
        return Calibration(method, key, values=_isotonic(histogram), origin=facts)
    scale, bias = _logistic(histogram, with_bias=method == 'platt')
    return Calibration(method, key, scale, bias, origin=facts)


def _check_order(histogram: ChangeHistogram) -> None:
    """Check that P(changed) differs between pixels, and is higher where they changed.

    Raises:
        CalibrationError: It doesn't, or isn't.
    """
    means = histogram.sums.sum(1) / histogram.counts.sum(1)
    if np.count_nonzero(histogram.counts.any(0)) == 1:
        raise CalibrationError(
            f'P(changed) is {means.mean():.4g} at every pixel, which no calibration can mend; '
            'check that the weights fit the config'
        )
    if means[1] <= means[0]:
        raise CalibrationError(
            'changed pixels have no higher P(changed) than unchanged ones, their means are '
            f'{means[1]:.4g} and {means[0]:.4g}; {MORE_PAIRS}'
        )


def _logistic(histogram: ChangeHistogram, with_bias: bool) -> tuple[float, float]:
    """Return scale and bias of the likeliest sigmoid(scale * z + bias).

    The negative log-likelihood is convex. Newton's steps are damped as Levenberg and Marquardt
    do it, until each lowers it.
    """
    filled = histogram.counts > 0
    means = histogram.sums[filled] / histogram.counts[filled]
    z = logits(torch.from_numpy(means)).numpy()
    label = np.nonzero(filled)[0].astype(np.float64)
    weight = histogram.counts[filled] / histogram.pixels
    _check_overlap(z, label, weight, with_bias)
    # In units of their spread, scale and bias take steps of one size.
    centre = float(weight @ z) if with_bias else 0.0
    spread = float(np.sqrt(weight @ (z - centre) ** 2))
    design = np.stack([(z - centre) / spread, np.ones_like(z)])[: 1 + with_bias]

    def loss(parameters: np.ndarray) -> float:
        answer = parameters @ design
        return float(weight @ (np.logaddexp(0, answer) - label * answer))

    parameters = np.zeros(1 + with_bias)
    damping = 1.0
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-np.clip(parameters @ design, -700, 700)))
        gradient = design @ (weight * (probability - label))
        curvature = (design * (weight * probability * (1 - probability))) @ design.T
        before = loss(parameters)
        while True:
            step = np.linalg.solve(curvature + damping * np.eye(len(parameters)), gradient)
            # A step too small to make a difference is accepted, so this ends.
            if loss(parameters - step) <= before:
                break
            damping *= 4
        parameters = parameters - step
        damping /= 4
        if np.abs(step).max() < 1e-10:
            break
    factor, bias = (*parameters.tolist(), 0.0)[:2]
    scale = factor / spread
    if not SCALES[0] <= scale <= SCALES[1]:
        raise CalibrationError(
            f'the likeliest factor of the logit is {scale:.3g}, expected {SCALES[0]:g} to '
            f'{SCALES[1]:g}: P(changed), from {means.min():.4g} to {means.max():.4g}, says '
            f'too {"little" if scale < SCALES[0] else "much"} about where it changed; {MORE_PAIRS}'
        )
    return scale, bias - scale * centre


def _check_overlap(z: np.ndarray, label: np.ndarray, weight: np.ndarray, with_bias: bool) -> None:
    """Check that the likelihood has a maximum at a positive, finite factor.

    Raises:
        CalibrationError: It has none.
    """
    changed, unchanged = z[label == 1], z[label == 0]
    highest, lowest = unchanged.max(), changed.min()
    if highest <= lowest if with_bias else highest <= 0 <= lowest:
        border = 'a threshold' if with_bias else 'the threshold 0.5'
        raise CalibrationError(
            f'{border} tells changed from unchanged pixels without an error, so the likeliest '
            f'factor of the logit is infinite; {MORE_PAIRS}'
        )
    # The likelihood rises from a factor of 0 if this is positive.
    middle = weight @ label if with_bias else 0.5
    if weight @ (z * (label - middle)) > 0:
        return
    raise CalibrationError(
        f'the mean logit of P(changed) is no higher where pixels changed; {MORE_PAIRS}'
        if with_bias
        else 'P(changed) lies too often on the wrong side of 0.5, which a temperature keeps; take '
        "'platt', which moves it"
    )


def _isotonic(histogram: ChangeHistogram) -> tuple[float, ...]:
    """Return the rising function nearest to the shares that changed, at the logits of its table.

    Between the mean P(changed) of two bins it is a straight line over P(changed), as in
    scikit-learn's ``IsotonicRegression``.
    """
    regression = _isotonic_regression()
    counts = histogram.counts.sum(0)
    filled = counts > 0
    means = histogram.sums.sum(0)[filled] / counts[filled]
    shares = histogram.counts[1][filled] / counts[filled]
    fitted = regression(shares, weights=counts[filled].astype(np.float64)).x
    nodes = 1 / (1 + np.exp(-np.linspace(-LOGIT_LIMIT, LOGIT_LIMIT, NODES)))
    values = np.interp(nodes, means, fitted).clip(0, 1)
    return tuple(np.maximum.accumulate(values).tolist())


def cross_fitted(folds: Sequence[ChangeHistogram], method: str) -> ChangeHistogram | None:
    """Calibrate each fold by what is fitted on the others.

    Args:
        folds: Pixels of disjoint parts of the pairs.
        method: One of :data:`~tfinet_mm.calibration.METHODS`.

    Returns:
        The calibrated pixels of all folds; None where fewer than two have pixels, or the rest
        of one can't be fitted.
    """
    filled = [fold for fold in folds if fold.pixels]
    if len(filled) < 2:
        return None
    total = ChangeHistogram.zeros()
    for held_out in range(len(filled)):
        others = ChangeHistogram.zeros()
        for index, fold in enumerate(filled):
            others = others if index == held_out else others + fold
        try:
            total += filled[held_out].calibrated(fit_calibration(others, method))
        except CalibrationError:
            return None
    return total
