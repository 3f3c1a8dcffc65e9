"""Read the labels of points: from QGIS, from the labelling page, or from AcATaMa."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import AssessmentError
from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.assessment.files import FILL_IN, read_table
from tfinet_mm.scenes.assessment.strata import Strata

ACATAMA = 'Is labeled as'
"""Field of the code of a label in the files that AcATaMa saves."""
NAMED = 5
"""Number of points that a message names."""


@dataclass(frozen=True)
class Label:
    """Label of a point.

    Attributes:
        code: Code of its class among those of the strata, from 1.
        members: Classes before and after, 1..K; None where only the code is known.
    """

    code: int
    members: tuple[int, int] | None


def read_labels(
    path: str | Path, strata: Strata, key: Sequence[Mapping[str, str]], sample: str, size: float
) -> dict[int, Label]:
    """Read the labels of a sample, those of points that have one.

    Args:
        path: ``.gpkg``, as written by ``assess sample`` and filled in, or as saved by AcATaMa; or
            ``.csv``, as the labelling page saves it.
        strata: The strata.
        key: The rows of the sample's key.
        sample: Hash of the key, which the page writes beside each label.
        size: Side of a pixel in units of the CRS; points may not have moved by half of it.

    Returns:
        The label of each labelled point by its number.

    Raises:
        FileNotFoundError: There is no such file.
        AssessmentError: It is of another sample, or holds points or classes that there aren't.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path} with labels')
    if path.suffix.lower() == '.csv':
        rows, places = read_table(path), None
        others = {row['sample'] for row in rows if row.get('sample')} - {sample}
        if others:
            raise AssessmentError(
                f'{path} has labels of another sample ({", ".join(sorted(others))}), expected '
                f'{sample}; give the file that was saved from the page of this sample'
            )
    else:
        rows, places = _read_layer(path)
    return _labels(path, rows, places, strata, key, size)


def any_label(path: Path) -> bool:
    """Return whether a GeoPackage of points is there and has a label."""
    if not path.is_file():
        return False
    rows, _ = _read_layer(path)
    return any(_text(row.get(name)) for row in rows for name in FILL_IN)


def _read_layer(path: Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return the fields and the coordinates (n, 2) of the points of a file."""
    pyogrio = import_geo('pyogrio', 'Reading points')
    shapely = import_geo('shapely', 'Reading points')
    errors = import_geo('pyogrio.errors', 'Reading points')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            info, _, stored, columns = pyogrio.raw.read(path)
    except (errors.DataSourceError, errors.DataLayerError) as error:
        raise AssessmentError(
            f'{path} can not be read as points ({error}); expected a GeoPackage or a CSV file'
        ) from error
    shapes = shapely.from_wkb(stored)
    if not (shapely.get_type_id(shapes) == 0).all():
        raise AssessmentError(f'{path} holds other shapes than points; give the labelled points')
    names = [str(name) for name in info['fields']]
    rows = [
        dict(zip(names, values, strict=True))
        for values in zip(*(column.tolist() for column in columns), strict=True)
    ]
    return rows, shapely.get_coordinates(shapes)


def _labels(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    places: np.ndarray | None,
    strata: Strata,
    key: Sequence[Mapping[str, str]],
    size: float,
) -> dict[int, Label]:
    known = {int(row['id']): (float(row['x']), float(row['y'])) for row in key}
    coded = any(ACATAMA in row for row in rows)
    if not coded and not all({'ref_from', 'ref_to'} <= row.keys() for row in rows):
        raise AssessmentError(
            f'{path} lacks the fields ref_from and ref_to (or {ACATAMA!r}, of AcATaMa); give the '
            'points of the sample, with both filled in'
        )
    found: dict[int, Label] = {}
    seen: set[int] = set()
    faults: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        number = _number(path, row)
        if number not in known:
            faults.setdefault('no point of the sample', []).append(number)
            continue
        if number in seen:
            faults.setdefault('labelled twice', []).append(number)
        seen.add(number)
        if places is not None and np.abs(places[index] - known[number]).max() > size / 2:
            faults.setdefault('at another place than in the sample', []).append(number)
        try:
            label = _coded(row, strata) if coded else _named(row, strata)
        except AssessmentError as error:
            faults.setdefault(str(error), []).append(number)
            continue
        if label is not None:
            found[number] = label
    if faults:
        told = '; '.join(f'{_points(numbers)}: {fault}' for fault, numbers in faults.items())
        classes = (
            f'codes 1 to {len(strata.items)}' if coded else f'classes {", ".join(strata.classes)}'
        )
        raise AssessmentError(
            f'{path} has faults: {told}. Expected each point of the sample once and the {classes}; '
            'correct them there'
        )
    return found


def _points(numbers: Sequence[int]) -> str:
    named = ', '.join(map(str, numbers[:NAMED]))
    more = f' and {len(numbers) - NAMED} more' if len(numbers) > NAMED else ''
    return f'point {named}{more}'


def _number(path: Path, row: Mapping[str, Any]) -> int:
    value = next((row[name] for name in ('id', 'ID') if name in row), None)
    try:
        return int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise AssessmentError(
            f'{path} has {value!r} as number of a point; expected a field id with the numbers of '
            'the sample'
        ) from error


def _text(value: Any) -> str:
    """Return the text of a field, empty where it is null."""
    if value is None or value != value:
        return ''
    return str(value).strip()


def _coded(row: Mapping[str, Any], strata: Strata) -> Label | None:
    text = _text(row[ACATAMA])
    if not text:
        return None
    code = int(text.partition('.')[0]) if text.partition('.')[0].isdecimal() else 0
    if not 1 <= code <= len(strata.items):
        raise AssessmentError(f'unknown code {text!r}')
    one = strata.items[code - 1]
    return Label(code, one.members[0] if len(one.members) == 1 else None)


def _named(row: Mapping[str, Any], strata: Strata) -> Label | None:
    texts = [_text(row[name]) for name in ('ref_from', 'ref_to')]
    if not any(texts):
        return None
    if not all(texts):
        raise AssessmentError('a class of one date only')
    unknown = [text for text in texts if text not in strata.classes]
    if unknown:
        raise AssessmentError(f'unknown class {unknown[0]!r}')
    old, new = (strata.classes.index(text) + 1 for text in texts)
    stated = _text(row.get('ref_changed'))
    if stated not in ('', '0', '1', '0.0', '1.0'):
        raise AssessmentError(f'ref_changed is {stated!r}, expected 0 or 1')
    changed = old != new or stated[:1] == '1'
    if old != new and stated[:1] == '0':
        raise AssessmentError('ref_changed is 0 with two classes')
    return Label(strata.code(changed, old, new), (old, new))
