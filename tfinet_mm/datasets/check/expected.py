"""Compare a data set with the figures that are known of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfinet_mm.datasets.check.problems import ERROR, DatasetReport, Problem
from tfinet_mm.errors import ConfigError
from tfinet_mm.utils.config.values import is_number, is_whole
from tfinet_mm.utils.near_names import hint

KEYS = ('pairs', 'size', 'changed', 'classes', 'same_class', 'labels', 'tolerance')
TOLERANCE = 0.002
"""Default distance that a share may have from its figure."""
ADVICE = 'the download may be incomplete, of another release, or its labels were changed'


def expected_figures(
    expected: Any, split: str, number: int, splits: Sequence[str]
) -> list[Mapping[str, Any] | None]:
    """Return the figures of each data set of a split, None where nothing is stated.

    Args:
        expected: ``expected`` of a config: for each split a dictionary, or a list of one for each
            of several data sets.
        split: The split.
        number: Number of its data sets.
        splits: Names that splits may have.

    Raises:
        ConfigError: ``expected`` names another split, or there isn't one dictionary a data set.
    """
    if expected is None:
        return [None] * number
    if not isinstance(expected, Mapping):
        raise ConfigError(
            f'expected is a dictionary of figures for each of {", ".join(splits)}; got {expected}'
        )
    for name in expected:
        if name not in splits:
            raise ConfigError(
                f'expected has no split {name!r}, its splits are {", ".join(splits)}'
                f'{hint(str(name), splits)}'
            )
    figures = expected.get(split)
    if figures is None:
        return [None] * number
    listed = list(figures) if isinstance(figures, list | tuple) else [figures]
    if len(listed) != number:
        raise ConfigError(
            f'expected.{split} has figures of {len(listed)} data set(s), but the split joins '
            f'{number}; give a list with a dictionary (or None) for each, in their order'
        )
    return listed


def expected_problems(report: DatasetReport, expected: Mapping[str, Any]) -> list[Problem]:
    """Return an error for each figure that a data set doesn't have.

    Args:
        report: The data set as read; of a report of headers, only pairs and sizes are compared.
        expected: Any of ``pairs``, their number; ``size`` (height, width) of every pair;
            ``changed``, the share of changed pixels; ``classes``, for class names the share of
            the changed pixels that have this class, over both dates; ``same_class``, the share of
            the changed pixels that have one class on both dates; ``labels``, the hash of names and
            labels that the check prints; ``tolerance`` of shares, by default 0.002.

    Raises:
        ConfigError: A key is unknown, or a value of the wrong kind.
    """
    _check(expected, report)
    found: list[tuple[str, str, str]] = []
    if 'pairs' in expected and report.pairs != expected['pairs']:
        found.append(('pairs', str(report.pairs), str(expected['pairs'])))
    if 'size' in expected:
        size = tuple(expected['size'])
        others = [one for one in report.sizes if one != size]
        if others:
            number = sum(report.sizes[one] for one in others)
            text = f'{number} pairs of other sizes, such as {others[0][0]} x {others[0][1]}'
            found.append(('sizes', text, f'{size[0]} x {size[1]} pixels'))
    if not report.fast:
        found += _shares(report, expected)
        if 'labels' in expected and report.labels_hash != expected['labels']:
            found.append(('hash of names and labels', report.labels_hash, expected['labels']))
    return [
        Problem(ERROR, '', f'{what}: {value} found, {right} expected; {ADVICE}')
        for what, value, right in found
    ]


def _shares(report: DatasetReport, expected: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the name of each share that is off, its value and its figure, in percent."""
    tolerance = expected.get('tolerance', TOLERANCE)
    compared: list[tuple[str, float, float]] = []
    if 'changed' in expected:
        compared.append(('changed pixels', report.change_share, expected['changed']))
    if 'classes' in expected:
        pixels = report.from_to.sum(0) + report.from_to.sum(1)
        for name, share in expected['classes'].items():
            place = report.table.land_cover.index(name)
            value = _share(pixels[place], pixels.sum())
            compared.append((f'changed pixels that are {name}', value, share))
    if 'same_class' in expected:
        value = _share(np.trace(report.from_to), report.from_to.sum())
        compared.append(('changed pixels of one class', value, expected['same_class']))
    return [
        (what, f'{100 * value:.2f} %', f'{100 * share:.2f} % (within {100 * tolerance:g})')
        for what, value, share in compared
        if abs(value - share) > tolerance
    ]


def _share(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else 0.0


def _check(expected: Mapping[str, Any], report: DatasetReport) -> None:
    if not isinstance(expected, Mapping):
        raise ConfigError(f'expected figures are a dictionary of {", ".join(KEYS)}; got {expected}')
    for key, value in expected.items():
        if key not in KEYS:
            raise ConfigError(f'expected has no key {key!r}{hint(str(key), KEYS)}')
        if key == 'classes':
            names = report.table.land_cover
            stated = value if isinstance(value, Mapping) else {str(value): None}
            wrong = [one for one in stated if one not in names or not _is_share(stated[one])]
            if wrong:
                raise ConfigError(
                    f'expected.classes has {wrong[0]!r}, it is a dictionary of shares from 0 to 1 '
                    f'for any of {", ".join(names)}'
                )
        elif key == 'size':
            two = isinstance(value, list | tuple) and len(value) == 2
            if not two or not all(is_whole(one) for one in value):
                raise ConfigError(f'expected.size is (height, width), got {value}')
        elif key == 'labels':
            if not isinstance(value, str) or not re.fullmatch('[0-9a-f]{32}', value):
                raise ConfigError(
                    f'expected.labels must be the 32 digits that the check prints, got {value!r}'
                )
        elif key == 'pairs' and not is_whole(value):
            raise ConfigError(f'expected.pairs must be a whole number, got {value!r}')
        elif key != 'pairs' and not _is_share(value):
            raise ConfigError(f'expected.{key} must be a number from 0 to 1, got {value!r}')


def _is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1
