"""Write and read the files of a sample: points, their key, and the sizes of strata."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tfinet_mm.errors import AssessmentError
from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.assessment.strata import NOT_SEEN, Strata
from tfinet_mm.utils.files import whole_file

LAYER = 'points'
FILL_IN = 'ref_from', 'ref_to', 'ref_changed', 'labelled_by', 'note'
"""Fields of a point that its labeller fills in."""


def write_points(
    path: Path, numbers: Sequence[int], x: np.ndarray, y: np.ndarray, crs: Any, chips: bool
) -> None:
    """Write points to fill in as GeoPackage, without the map's classes.

    The layer ``points`` has the fields ``id``, ``ref_from`` and ``ref_to`` (names of classes),
    ``ref_changed`` (0 or 1), ``labelled_by``, ``note`` and, with chips, their files.

    Args:
        path: File to write.
        numbers: Number of each point.
        x: Coordinates in the CRS.
        y: The same.
        crs: The ``rasterio.crs.CRS``, or None.
        chips: Whether there are chips.

    Raises:
        MissingExtraError: pyogrio or shapely is not installed.
    """
    shapely = import_geo('shapely', 'Writing points')
    pyogrio = import_geo('pyogrio', 'Writing points')
    empty = np.full(len(numbers), None, object)
    columns: dict[str, np.ndarray] = dict(id=np.asarray(numbers, np.int32))
    columns |= {name: empty for name in FILL_IN}
    columns['ref_changed'] = np.zeros(len(numbers), np.int16)
    if chips:
        for date in ('before', 'after'):
            columns[f'chip_{date}'] = np.array([chip_file(n, date) for n in numbers], object)
    with whole_file(path) as partial, warnings.catch_warnings():
        # A scene may have no CRS.
        warnings.filterwarnings('ignore', message=".*'crs' was not provided")
        pyogrio.raw.write(
            partial,
            geometry=shapely.to_wkb(shapely.points(x, y)),
            field_data=list(columns.values()),
            field_mask=[
                np.full(len(numbers), True) if name in FILL_IN else None for name in columns
            ],
            fields=list(columns),
            layer=LAYER,
            driver='GPKG',
            geometry_type='Point',
            crs=None if crs is None else crs.to_wkt(),
        )


def chip_file(number: int, date: str) -> str:
    """Return the file of a chip, relative to the folder of the sample."""
    return f'chips/{number:05}_{date}.jpg'


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of one set of keys as CSV."""
    with whole_file(path) as partial, partial.open('w', encoding='utf-8', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, whose separator is a comma or, as some programs save it, ';'.

    Raises:
        AssessmentError: It is no text in UTF-8, or no table.
    """
    try:
        with path.open(encoding='utf-8-sig', newline='') as file:
            separator = ';' if ';' in file.readline() else ','
            file.seek(0)
            return list(csv.DictReader(file, delimiter=separator))
    except (UnicodeDecodeError, csv.Error) as error:
        raise AssessmentError(
            f'{path} can not be read as a table ({error}); expected CSV in UTF-8'
        ) from error


def write_form(path: Path, classes: Sequence[str]) -> None:
    """Write the form of the points in QGIS: classes are chosen from a list.

    Args:
        path: File of the name of the points, with the suffix ``.qml``.
        classes: The K land-cover classes.
    """
    root = ElementTree.Element('qgis', version='3.22.0', styleCategories='Forms')
    fields = ElementTree.SubElement(root, 'fieldConfiguration')
    choices = dict(ref_from=classes, ref_to=classes, ref_changed=['0', '1'])
    for name, values in choices.items():
        field = ElementTree.SubElement(fields, 'field', name=name)
        widget = ElementTree.SubElement(field, 'editWidget', type='ValueMap')
        config = ElementTree.SubElement(ElementTree.SubElement(widget, 'config'), 'Option')
        config.set('type', 'Map')
        known = ElementTree.SubElement(config, 'Option', name='map', type='List')
        for value in values:
            entry = ElementTree.SubElement(known, 'Option', type='Map')
            ElementTree.SubElement(entry, 'Option', name=value, type='QString', value=value)
    _write_qml(path, root)


def write_style(path: Path, strata: Strata) -> None:
    """Write the style that QGIS applies to the strata: one entry for each of them.

    Without it QGIS lists all 256 entries of the colour table.
    """
    root = ElementTree.Element('qgis', version='3.22.0', styleCategories='Symbology')
    renderer = ElementTree.SubElement(
        ElementTree.SubElement(root, 'pipe'),
        'rasterrenderer',
        type='paletted',
        band='1',
        opacity='1',
        alphaBand='-1',
        nodataColor='',
    )
    palette = ElementTree.SubElement(renderer, 'colorPalette')
    for code, one in enumerate(strata.items, start=NOT_SEEN + 1):
        ElementTree.SubElement(
            palette,
            'paletteEntry',
            value=str(code),
            color='#{:02x}{:02x}{:02x}'.format(*one.colour),
            alpha='255',
            label=one.name,
        )
    _write_qml(path, root)


def _write_qml(path: Path, root: ElementTree.Element) -> None:
    """Write a style that QGIS applies to the file of the same name."""
    with whole_file(path) as partial:
        partial.write_text(
            "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
            + ElementTree.tostring(root, encoding='unicode')
            + '\n',
            encoding='utf-8',
        )
