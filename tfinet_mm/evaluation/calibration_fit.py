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

STEPS = 200
"""Greatest number of Newton's steps; it takes about ten."""
SCALES = (0.01, 100.0)
"""Range of the factor of the logit; without overlap of the labels it would grow without end."""

BEYOND = 100 * SCALES[1]
"""Factor at which the search ends."""


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
        CalibrationError: The pixels are all of one kind, or P(changed) doesn't rise with the
            share that changed.
        MissingExtraError: SciPy isn't installed, which ``'isotonic'`` needs.
    """
    check_method(method)
    unchanged = histogram.pixels - histogram.changed
    if not histogram.changed or not unchanged:
        raise CalibrationError(
            f'a calibration needs changed and unchanged pixels, got {histogram.changed} and '
            f'{unchanged}; fit it on more pairs'
        )
    facts = dict(origin or {}) | dict(pixels=histogram.pixels, changed=histogram.changed)
    key = views_key(views)
    if method == 'isotonic':
        return Calibration(method, key, values=_isotonic(histogram), origin=facts)
    scale, bias = _logistic(histogram, with_bias=method == 'platt')
    return Calibration(method, key, scale, bias, origin=facts)


def _logistic(histogram: ChangeHistogram, with_bias: bool) -> tuple[float, float]:
    """Return scale and bias of the likeliest sigmoid(scale * z + bias), by Newton's method.

    The negative log-likelihood is convex, and steps that don't lower it are halved.
    """
    filled = histogram.counts > 0
    means = histogram.sums[filled] / histogram.counts[filled]
    z = logits(torch.from_numpy(means)).numpy()
    label = np.nonzero(filled)[0].astype(np.float64)
    weight = histogram.counts[filled] / histogram.pixels
    design = np.stack([z, np.ones_like(z)])[: 1 + with_bias]

    def loss(parameters: np.ndarray) -> float:
        answer = parameters @ design
        return float(weight @ (np.logaddexp(0, answer) - label * answer))

    parameters = np.array([1.0, 0.0])[: 1 + with_bias]
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-np.clip(parameters @ design, -700, 700)))
        gradient = design @ (weight * (probability - label))
        curvature = (design * (weight * probability * (1 - probability))) @ design.T
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size, before = 1.0, loss(parameters)
        while size > 1e-6 and loss(parameters - size * step) > before:
            size /= 2
        parameters = parameters - size * step
        # A step may leave the range and come back; without an optimum, the factor grows for ever.
        if np.abs(size * step).max() < 1e-10 or abs(parameters[0]) > BEYOND:
            break
    scale, bias = (*parameters.tolist(), 0.0)[:2]
    if not SCALES[0] <= scale <= SCALES[1]:
        reason = (
            'the labels are told apart without an error'
            if scale > SCALES[1]
            else 'changed pixels have no higher P(changed) than unchanged ones'
        )
        raise CalibrationError(
            f'the likeliest factor of the logit is {scale:.3g}, beyond {SCALES[0]:g} to '
            f'{SCALES[1]:g}: {reason}; fit it on more pairs, and check their labels'
        )
    return scale, bias


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
