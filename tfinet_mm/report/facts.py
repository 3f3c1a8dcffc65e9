"""List the facts of a scene for a page: its files, its grid, how it was read and predicted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tfinet_mm.io.rasters import import_geo
from tfinet_mm.report.numbers import percent, whole
from tfinet_mm.report.records import PairSummary
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.ground import ground_steps
from tfinet_mm.scenes.stretch import describe_stretch

Fact = tuple[str, str]
# Characters of a checksum that are shown.
SHOWN_DIGITS = 12
TIMES = '\N{MULTIPLICATION SIGN}'


def scene_facts(
    scene: Mapping[str, Any], grid: SceneGrid, summary: PairSummary
) -> tuple[Fact, ...]:
    """Return names and texts of the facts of a scene; what ``scene.json`` lacks is left out.

    Args:
        scene: Content of ``scene.json``.
        grid: Grid of the scene.
        summary: Its numbers.

    Raises:
        MissingExtraError: pyproj is not installed.
    """
    settings = scene.get('settings') or {}
    found: list[Fact] = []
    for date in ('before', 'after'):
        found += _date(date, scene)
    found += _grid(grid)
    found.append(
        ('Registration', (summary.registration or 'not measured').removeprefix('Registration: '))
    )
    found.append(('Not seen', summary.not_seen.removeprefix('Not seen: ') or 'nothing'))
    found.append(('Accuracy', _accuracy(summary.assessment)))
    found += _thresholds(scene)
    found += _network(settings)
    if scene.get('software'):
        found.append(('Software', str(scene['software'])))
    return tuple(found)


def _date(date: str, scene: Mapping[str, Any]) -> list[Fact]:
    read = scene.get(date) or {}
    if not read:
        return []
    # Only the provenance has the times that a file states of itself.
    origin = (scene.get('provenance') or {}).get(date) or {}
    parts = [os.path.basename(str(read['file']))]
    if origin.get('acquired'):
        parts.append(f'acquired {origin["acquired"]}')
    elif origin.get('datetime'):
        parts.append(f'file of {origin["datetime"]}')
    if read.get('bands'):
        parts.append(f'band{"s" if len(read["bands"]) > 1 else ""} {_list(read["bands"])}')
    if read.get('resampling'):
        parts.append(f'resampled ({read["resampling"]})')
    facts = [(date.capitalize(), ' · '.join(parts))]
    if read.get('stretch'):
        said = describe_stretch(read['stretch'], read.get('bands') or ())
        facts.append((f'Stretch {date}', said))
    return facts


def _grid(grid: SceneGrid) -> list[Fact]:
    size = f'{whole(grid.width)} {TIMES} {whole(grid.height)}'
    if grid.crs is None:
        return [('Coordinate system', 'none'), ('Pixels', size)]
    pyproj = import_geo('pyproj', 'The name of a coordinate system')
    crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
    authority = crs.to_authority()
    code = '' if authority is None else f' ({":".join(authority)})'
    ground = ground_steps(grid)
    if ground.column_metres is not None and ground.row_metres is not None:
        size += f' of {ground.column_metres:.4g} {TIMES} {ground.row_metres:.4g} m on the ground'
    return [('Coordinate system', f'{crs.name}{code}'), ('Pixels', size)]


def _accuracy(assessment: Mapping[str, Any] | None) -> str:
    if assessment is None:
        return 'not assessed'
    found = assessment['overall_accuracy']
    points = f'from {whole(assessment["points"])} labelled points'
    if not found:
        return points
    return f'{percent(100 * found["value"])} ± {percent(196 * found["error"])} overall, {points}'


def _thresholds(scene: Mapping[str, Any]) -> list[Fact]:
    facts = []
    if scene.get('threshold') is not None:
        facts.append(('Changed', f'from P(changed) of {scene["threshold"]:.4g}'))
    polygons = scene.get('polygons') or {}
    if polygons:
        unit = 'm²' if polygons['unit'] == 'm2' else 'pixels'
        dropped = f', {whole(polygons["dropped"])} smaller ones left out'
        least = f'from {polygons["min_area"]:g} {unit}{dropped if polygons["dropped"] else ""}'
        facts.append(('Polygons', f'{whole(polygons["polygons"])} {least}'))
    return facts


def _network(settings: Mapping[str, Any]) -> list[Fact]:
    facts = []
    for one in settings.get('model') or ():
        name = os.path.basename(str(one.get('checkpoint') or one.get('name')))
        weights = one.get('weights')
        digest = f', SHA-256 {str(weights)[:SHOWN_DIGITS]}…' if weights else ''
        facts.append(('Weights', f'{name}{digest}'))
    if settings.get('window'):
        said = f'{settings["window"]} pixels, {settings.get("overlap", 0)} of them shared'
        facts.append(('Windows', said))
    if settings.get('tta'):
        facts.append(('Augmentation', _list(settings['tta'])))
    if settings.get('calibration'):
        facts.append(('Calibration of P(changed)', str(settings['calibration']['method'])))
    return facts


def _list(values: Any) -> str:
    return ', '.join(map(str, values)) if isinstance(values, list | tuple) else str(values)
