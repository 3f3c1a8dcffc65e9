"""Report how reliable P(changed) was in a test, and calibrate it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Context
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from tfinet_mm.calibration import METHODS, PLAIN_VIEWS, Calibration, replaced
from tfinet_mm.checkpoints.calibrated import checkpoint_calibrations, write_calibrated
from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.evaluation.calibration_fit import cross_fitted, fit_calibration
from tfinet_mm.evaluation.pair_keys import KEPT, kept_keys, shared_pairs
from tfinet_mm.evaluation.reliability import (
    ChangeHistogram,
    merged_pixels,
    reliability_report,
    threshold_for_precision,
)
from tfinet_mm.evaluation.reliability_metric import Reliability, ReliabilityMetric, scores_text
from tfinet_mm.models.detectors import SCDTTAModel
from tfinet_mm.models.detectors.augmentation import view_names
from tfinet_mm.models.detectors.calibrated import active_calibration
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.visualization.reliability import draw_reliability

PREDICTED, CALIBRATED = 'as predicted', 'calibrated'
REPORT, DIAGRAM = 'reliability.json', 'reliability.png'
"""Names of the files in the folder of a report."""


class ReliabilityOptions(NamedTuple):
    """Choices of what becomes of the counts of a test.

    Attributes:
        folder: Folder for :data:`REPORT` and :data:`DIAGRAM`; None writes neither.
        method: How to calibrate, see :data:`tfinet_mm.calibration.METHODS`; None doesn't.
        calibrated: File to write with the calibration, see
            :func:`~tfinet_mm.checkpoints.calibrated.write_calibrated`.
        precision: Least precision, 0..1, to find a threshold for.
        checkpoint: What was tested; None for an ensemble.
    """

    folder: Path | None = None
    method: str | None = None
    calibrated: Path | None = None
    precision: float | None = None
    checkpoint: str | None = None


def use_reliability(cfg: Config) -> None:
    """Count P(changed) against the annotation in the test of a config."""
    evaluators = cfg.test_evaluator
    listed = list(evaluators) if isinstance(evaluators, list | tuple) else [evaluators]
    cfg.test_evaluator = [*listed, dict(type='tfinet_mm.ReliabilityMetric')]


def switch_calibration_off(cfg: Config) -> None:
    """Test with P(changed) as the network of a config predicts it."""
    model = cfg.model.get('module', cfg.model)
    model.test_cfg = {**(model.get('test_cfg') or {}), 'calibration': False}


def finish_reliability(runner: Runner, options: ReliabilityOptions) -> None:
    """Report on the counts of a finished test, calibrate, and write what is asked for.

    Args:
        runner: The Runner after its test, of a config after :func:`use_reliability`; of a
            config after :func:`switch_calibration_off` where a method is given.
        options: What to do.

    Raises:
        CalibrationError: The pairs can't be fitted, or no threshold has the precision.
    """
    found = next(
        metric.found
        for metric in runner.test_loop.evaluator.metrics
        if isinstance(metric, ReliabilityMetric) and metric.found is not None
    )
    views = tested_views(runner.model)
    network: Any = unwrapped(runner.model)
    fitted: Calibration | None = None
    report: dict[str, Any] = dict(pairs=len(found.keys), views=list(views))
    if options.method is None:
        active = active_calibration(network, views)
        name = PREDICTED if active is None else CALIBRATED
        series = {name: reliability_report(found.total)}
        if active is not None:
            report |= dict(calibration=active.summary(), **_overlap(active, found))
    else:
        fitted, series = _calibrated(found, options.method, views)
        _say(_same_maps(fitted, found.total, float(network.test_cfg['threshold'])))
        report['calibration'] = fitted.record()
        if options.calibrated is not None:
            kept = checkpoint_calibrations(options.checkpoint)
            write_calibrated(options.calibrated, options.checkpoint, replaced(kept, fitted))
    report |= {name.replace(' ', '_').replace(',', ''): one for name, one in series.items()}
    if options.folder is not None:
        _write(options.folder, report, series)
    if options.precision is not None:
        point = threshold_for_precision(found.total, options.precision, fitted)
        _say(
            f'From P(changed) {_option(point.threshold)} on, the precision is '
            f'{100 * point.precision:.2f} % and the recall {100 * point.recall:.2f} % on these '
            f'pairs: --threshold {_option(point.threshold)}'
        )
        report['threshold'] = point._asdict()
        if options.folder is not None:
            _write(options.folder, report, series)


def tested_views(model: Any) -> tuple[str, ...]:
    """Return the names of the views that a model averages in a test."""
    while not isinstance(model, SCDTTAModel) and hasattr(model, 'module'):
        model = model.module
    if isinstance(model, SCDTTAModel) and model.active:
        return tuple(view_names(model.transforms, model.scales))
    return PLAIN_VIEWS


def _calibrated(
    found: Reliability, method: str, views: tuple[str, ...]
) -> tuple[Calibration, dict[str, dict[str, Any]]]:
    """Fit a calibration, and return it and the reports by name."""
    origin = dict(pairs=len(found.keys), keys=kept_keys(found.keys))
    raw = found.total
    fitted = fit_calibration(raw, method, views, origin)
    series = {PREDICTED: reliability_report(raw)}
    others = cross_fitted(found.folds, method)
    if others is not None:
        series['calibrated on other pairs'] = reliability_report(others)
    series['calibrated on the same pairs'] = reliability_report(raw.calibrated(fitted))
    for name, one in series.items():
        _say(f'P(changed) {name}: {scores_text(one)}')
    _warn_of_worse(method, series)
    _say(
        'The first of the calibrated figures holds for new pairs: five parts of the pairs, each '
        'calibrated by the other four. Pairs of one place in two parts make it too low'
        if others is not None
        else 'The same pairs fitted and reported, so the calibrated figures are too low; test '
        'the calibrated file on other pairs'
    )
    return fitted, series


def _warn_of_worse(method: str, series: Mapping[str, Mapping[str, Any]]) -> None:
    """Warn where calibrated P(changed) has a larger error than P(changed) as predicted."""
    before = series[PREDICTED]['ECE']
    # Of other pairs if there are several parts, and of the same pairs otherwise.
    name, after = next((n, one['ECE']) for n, one in series.items() if n != PREDICTED)
    if after > before:
        others = ' or '.join(other for other in METHODS if other != method)
        print_log(
            f'The ECE of P(changed) {name} is {100 * after:.2f} %, as predicted it is '
            f"{100 * before:.2f} %: a {method} calibration doesn't fit this network; try {others}",
            logger='current',
            level=logging.WARNING,
        )


def _overlap(active: Calibration, found: Reliability) -> dict[str, Any]:
    """Say whether pairs were fitted on too, and return it for the report."""
    fitted = active.origin.get('keys') or []
    shared = shared_pairs(fitted, found.keys)
    if shared:
        least = 'at least ' if len(fitted) >= KEPT else ''
        _say(
            f'The calibration was fitted on {least}{shared} of these {len(found.keys)} pairs, so '
            'its errors are larger on new pairs; report on other pairs (--split)'
        )
    return dict(also_fitted_on=shared)


def _same_maps(calibration: Calibration, pixels: ChangeHistogram, threshold: float) -> str:
    """Say which threshold on the calibrated P(changed) keeps the maps as they were."""
    value = float(calibration(torch.tensor(threshold, dtype=torch.float64)))
    merged = merged_pixels(pixels, threshold, calibration)
    same = 'maps stay the same'
    if merged:
        same = (
            f'the function is flat there, so {100 * merged / pixels.pixels:.2g} % of the pixels '
            'become changed, and maps stay the same elsewhere,'
        )
    return (
        f'The threshold applies to the calibrated P(changed). {threshold:g} on P(changed) as '
        f'predicted is {_option(value)} now: {same} with --threshold {_option(value)}'
    )


def _option(threshold: float) -> str:
    """Return a threshold as text, rounded down: a value above would leave out equal pixels."""
    return str(Context(prec=7, rounding=ROUND_FLOOR).create_decimal_from_float(threshold))


def _write(folder: Path, report: Mapping[str, Any], series: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / REPORT) as partial:
        partial.write_text(json_text(report), encoding='utf-8')
    with whole_file(folder / DIAGRAM) as partial:
        draw_reliability(partial, {name: one['bins'] for name, one in series.items()})


def _say(text: str) -> None:
    print_log(text, logger='current')
