"""Estimate areas and accuracies of a scene from its labelled points, and write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import AssessmentError
from tfinet_mm.evaluation.assessment import Estimate, StratifiedSample, Z
from tfinet_mm.scenes.assessment.files import read_table, write_table
from tfinet_mm.scenes.assessment.labels import NAMED, Label, read_labels
from tfinet_mm.scenes.assessment.sample import KEY_FILE, MAPS, POINTS_FILE, read_sample
from tfinet_mm.scenes.assessment.strata import Strata
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.fingerprints import fingerprints, remember
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.utils.manifest import read_json
from tfinet_mm.utils.numbers import percent, percent_number

ESTIMATE_FILE = 'estimate.json'
LEVEL = 95


def estimate_scene(
    folder: str | Path, labels: str | Path | None = None, *, allow_missing: bool = False
) -> dict[str, Any]:
    """Estimate areas with 95 % intervals and accuracies from the labels of a sample.

    Args:
        folder: Folder of the sample, or of its scene.
        labels: File of the labels; ``points.gpkg`` of the sample by default. See
            :func:`tfinet_mm.scenes.assessment.labels.read_labels`.
        allow_missing: Leave out points without label, which otherwise are refused.

    Returns:
        The content of ``estimate.json``, which is written to the folder with ``estimate.csv``,
        ``error_matrix.csv`` and ``estimate.md``.

    Raises:
        FileNotFoundError: There is no such file of labels.
        AssessmentError: There is no sample, the maps or the strata have changed since it was drawn,
            or its labels are incomplete or wrong.
        MissingExtraError: A part of the extra ``geo`` is not installed.
    """
    sample = read_sample(folder)
    folder = Path(sample['folder'])
    path = folder / POINTS_FILE if labels is None else Path(labels)
    strata = sample_strata(sample)
    key = read_table(folder / KEY_FILE)
    found = read_labels(path, strata, key, sample_hash(sample), sample['pixel_size'])
    missing = [int(row['id']) for row in key if int(row['id']) not in found]
    if missing and not allow_missing:
        named = ', '.join(map(str, missing[:NAMED])) + (', ...' if len(missing) > NAMED else '')
        raise AssessmentError(
            f'{len(missing)} of {len(key)} points in {path} have no label (id {named}), expected '
            'one for each: label them, give the file that the page saved (--labels), or leave them '
            'out (--allow-missing)'
        )
    (entry,) = fingerprints([path])
    made = dict(
        _estimates(sample, strata, key, found),
        points=len(found),
        missing=len(missing),
        labels=entry,
        maps=sample['settings']['maps'],
        sample=sample_hash(sample),
        level=LEVEL,
        unit=sample['unit'],
        area_method=sample['area_method'],
        software=sample['software'],
    )
    _write(folder, made)
    return made


def sample_strata(sample: Mapping[str, Any]) -> Strata:
    """Return the strata of a sample that :func:`read_sample` read."""
    return Strata.from_json(sample['classes'], sample['strata'], sample['mapped'])


def sample_hash(sample: Mapping[str, Any]) -> str:
    """Return the start of the hash of a sample's key, by which its labels are known."""
    return str(sample['files'][KEY_FILE]['sha256'])[:12]


def read_estimate(scene: Path) -> dict[str, Any] | None:
    """Return the content of ``estimate.json`` of a scene's assessment, None without one.

    Raises:
        AssessmentError: It is of other maps than those of the scene now.
        ManifestError: It is damaged.
    """
    path = scene / 'assessment' / ESTIMATE_FILE
    found = read_json(path, ('maps', 'classes', 'points'), 'run tfinet assess estimate again')
    if found is None:
        return None
    # So that maps that are untouched needn't be read.
    remember(found)
    entries = fingerprints(scene / name for name in MAPS)
    for name, entry in zip(MAPS, entries, strict=True):
        if entry['sha256'] != found['maps'][name]['sha256']:
            raise AssessmentError(
                f'{path} is of other maps than those of {scene}, which was predicted again; draw '
                f'and label a new sample, or remove {path.parent}'
            )
    return found


def _estimates(
    sample: Mapping[str, Any],
    strata: Strata,
    key: list[dict[str, str]],
    labels: Mapping[int, Label],
) -> dict[str, Any]:
    names, mapped = strata.names, strata.mapped
    stratum = {int(row['id']): int(row['stratum']) for row in key}
    counts = np.zeros((mapped, len(names)), np.int64)
    for number, label in labels.items():
        counts[stratum[number] - 1, label.code - 1] += 1
    areas = np.array([one['area'] for one in sample['strata']])
    whole = float(areas.sum())
    counted = StratifiedSample(counts, areas[:mapped], names[:mapped])
    classes = []
    for index, name in enumerate(names):
        users = counted.users_accuracy(index) if index < mapped else Estimate(math.nan, math.nan)
        classes.append(
            dict(
                name=name,
                changed=strata.items[index].changed,
                colour=list(strata.items[index].colour),
                points=int(counts[index].sum()) if index < mapped else 0,
                mapped_area=float(areas[index]),
                area=_area(counted.class_share(index), whole),
                users_accuracy=_accuracy(users),
                producers_accuracy=_accuracy(counted.producers_accuracy(index)),
            )
        )
    return dict(
        total_area=whole,
        classes=classes,
        counts=counts.tolist(),
        proportions=counted.proportions.tolist(),
        overall_accuracy=_accuracy(counted.overall_accuracy()),
        change=_change(counted, strata, areas),
        land_cover=_land_cover(counted, strata, stratum, labels, whole),
    )


def _change(counted: StratifiedSample, strata: Strata, areas: np.ndarray) -> dict[str, Any]:
    """Return area and accuracies of change as a whole."""
    changed = np.array([one.changed for one in strata.items])
    rows = np.zeros(counted.counts.shape)
    rows[changed[: strata.mapped]] = 1
    columns = np.broadcast_to(changed.astype(np.float64), counted.counts.shape)
    return dict(
        name='all change',
        mapped_area=float(areas[changed].sum()),
        area=_area(counted.share(columns), float(areas.sum())),
        users_accuracy=_accuracy(counted.ratio(rows * columns, rows)),
        producers_accuracy=_accuracy(counted.ratio(rows * columns, columns)),
    )


def _land_cover(
    counted: StratifiedSample,
    strata: Strata,
    stratum: Mapping[int, int],
    labels: Mapping[int, Label],
    whole: float,
) -> dict[str, Any] | None:
    """Return the area of each land cover at both dates, None where labels don't tell it."""
    if any(label.members is None for label in labels.values()):
        return None
    made = {}
    for place, date in enumerate(('before', 'after')):
        counts = np.zeros((strata.mapped, len(strata.classes)), np.int64)
        for number, label in labels.items():
            assert label.members is not None
            counts[stratum[number] - 1, label.members[place] - 1] += 1
        dated = StratifiedSample(counts, counted.sizes)
        made[date] = [
            dict(name=name, area=_area(dated.class_share(index), whole))
            for index, name in enumerate(strata.classes)
        ]
    return made


def _area(share: Estimate, whole: float) -> dict[str, Any]:
    """Return an area, its standard error and its interval."""
    area = share.times(whole)
    low, high = area.interval
    return dict(value=area.value, error=area.error, low=low, high=high)


def _accuracy(found: Estimate) -> dict[str, Any] | None:
    if math.isnan(found.value):
        return None
    low, high = found.interval
    return dict(value=found.value, error=found.error, low=low, high=min(high, 1.0))


def _write(folder: Path, made: Mapping[str, Any]) -> None:
    """Write the table, the page and, last, ``estimate.json``."""
    unit = made['unit']
    rows = []
    for one in (*made['classes'], made['change']):
        row = {'class': one['name'], f'mapped_{unit}': one['mapped_area']}
        row |= {
            f'{key}_{unit}': one['area'][name]
            for key, name in (
                ('area', 'value'),
                ('standard_error', 'error'),
                ('low', 'low'),
                ('high', 'high'),
            )
        }
        for kind in ('users_accuracy', 'producers_accuracy'):
            for ending, name in (('', 'value'), ('_error', 'error')):
                row[f'{kind}{ending}'] = '' if one[kind] is None else one[kind][name]
        rows.append(row)
    write_table(folder / 'estimate.csv', rows)
    names = [one['name'] for one in made['classes']]
    matrix = [
        dict(stratum=name)
        | {f'{other} (points)': number for other, number in zip(names, points, strict=True)}
        | {f'{other} (share of area)': one for other, one in zip(names, shares, strict=True)}
        for name, points, shares in zip(names, made['counts'], made['proportions'], strict=False)
    ]
    write_table(folder / 'error_matrix.csv', matrix)
    with whole_file(folder / 'estimate.md') as partial:
        partial.write_text(format_estimate(made), encoding='utf-8')
    with whole_file(folder / ESTIMATE_FILE) as partial:
        partial.write_text(json_text(made) + '\n', encoding='utf-8')


def format_estimate(made: Mapping[str, Any], matrices: bool = True) -> str:
    """Return the content of ``estimate.json`` as Markdown, with or without error matrices."""
    unit = made['unit']
    overall = made['overall_accuracy']
    left_out = f' ({made["missing"]} points without label are left out)' if made['missing'] else ''
    lines = [
        f'Areas with {made["level"]} % intervals from {made["points"]} points{left_out}',
        '',
        f"| class | mapped, {unit} | area, {unit} | ± | user's accuracy | producer's accuracy |",
        '| --- | ---: | ---: | ---: | ---: | ---: |',
    ]
    # A class that neither the map nor a label has is left out.
    shown = [
        index
        for index, one in enumerate(made['classes'])
        if one['mapped_area'] or one['area']['value']
    ]
    for one in (*(made['classes'][index] for index in shown), made['change']):
        area = one['area']
        cells = [
            one['name'],
            _number(one['mapped_area'], unit),
            _number(area['value'], unit),
            _number((area['high'] - area['value']), unit),
            _percent(one['users_accuracy']),
            _percent(one['producers_accuracy']),
        ]
        lines.append(f'| {" | ".join(cells)} |')
    lines += ['', f'Overall accuracy: {_percent(overall)}']
    if made['land_cover']:
        lines += [
            '',
            f'| land cover | before, {unit} | ± | after, {unit} | ± |',
            '| --- | ---: | ---: | ---: | ---: |',
        ]
        for dates in zip(*made['land_cover'].values(), strict=True):
            cells = [dates[0]['name']]
            for one in dates:
                area = one['area']
                cells += [_number(area['value'], unit), _number(area['high'] - area['value'], unit)]
            lines.append(f'| {" | ".join(cells)} |')
    if matrices:
        names = [made['classes'][index]['name'] for index in shown]
        shares = [[f'{100 * one:.2f}' for one in row] for row in made['proportions']]
        for title, rows in (
            ('Error matrix: points by stratum of the map (row) and label (column)', made['counts']),
            ('The same in percent of the area', shares),
        ):
            lines += ['', title, '', f'| | {" | ".join(names)} |']
            lines.append(f'| --- |{" ---: |" * len(names)}')
            for name, row in zip(names, rows, strict=False):
                lines.append(f'| {name} | {" | ".join(str(row[index]) for index in shown)} |')
    return '\n'.join(lines) + '\n'


def _number(value: float, unit: str) -> str:
    return f'{value:,.0f}' if unit == 'pixels' else f'{value:,.2f}'


def _percent(found: Mapping[str, float] | None) -> str:
    if found is None:
        return '-'
    return f'{percent_number(100 * found["value"])} ± {percent(100 * Z * found["error"])}'
