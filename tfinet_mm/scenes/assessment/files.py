"""Write and read the files of a sample: points, their key, and the sizes of strata."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

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
    """Return the rows of a CSV file."""
    with path.open(encoding='utf-8-sig', newline='') as file:
        return list(csv.DictReader(file))


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
    with whole_file(path) as partial:
        partial.write_text(
            "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
            + ElementTree.tostring(root, encoding='unicode')
            + '\n',
            encoding='utf-8',
        )
