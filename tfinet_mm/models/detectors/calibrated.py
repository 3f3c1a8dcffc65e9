"""Find the calibration of P(changed) that a model has for the views it averages."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfinet_mm.calibration import PLAIN_VIEWS, Calibration, calibrations_of, for_views
from tfinet_mm.errors import CalibrationError
from tfinet_mm.utils.device import say_once


def active_calibration(model: Any, views: Sequence[str] = PLAIN_VIEWS) -> Calibration | None:
    """Return the calibration of a model for these views.

    Args:
        model: A detector or an ensemble, with its ``calibrations``.
        views: Names of the views that are averaged.

    Returns:
        None without one, or with ``test_cfg.calibration=False``. If there are calibrations for
        other views only, the log says so.
    """
    known: Sequence[Calibration] = getattr(model, 'calibrations', ())
    if not known or (model.test_cfg or {}).get('calibration') is False:
        return None
    found = for_views(known, views)
    if found is None:
        fitted = ' or '.join(' + '.join(one.views) for one in known)
        say_once(
            f'P(changed) is not calibrated: the calibration was fitted for the views {fitted}, '
            f'these are {" + ".join(views)}. Fit one for them with tools/test.py --calibrate',
            logging.WARNING,
        )
    return found


def read_calibrations(path: str | os.PathLike[str]) -> tuple[Calibration, ...]:
    """Read the calibrations of a JSON file of ``tools/test.py --calibrated``.

    Args:
        path: The file, relative to the current directory.

    Raises:
        FileNotFoundError: There is no such file.
        CalibrationError: It holds no list of calibrations.
    """
    file = Path(os.path.expanduser(path))
    if not file.is_file():
        raise FileNotFoundError(
            f'there is no file {file} with a calibration of P(changed); write one with '
            'tools/test.py --calibrate METHOD --calibrated FILE.json'
        )
    try:
        records = json.loads(file.read_text(encoding='utf-8'))
    except ValueError as error:
        raise CalibrationError(f'{file} is no JSON ({error}); write it again') from None
    return calibrations_of(records, str(file))


def check_switch(value: Any, name: str) -> None:
    """Refuse a value of ``test_cfg.calibration`` other than True and False.

    Raises:
        ValueError: It is another value.
    """
    if value is not None and not isinstance(value, bool):
        file = str(value).endswith('.json')
        fix = '; a file of calibrations is for ensembles: use what --calibrated FILE.pth writes'
        raise ValueError(
            f'{name} is True, for the calibration of the checkpoint where it has one, or False, '
            f'for P(changed) as the network predicts it; got {value!r}{fix if file else ""}'
        )
