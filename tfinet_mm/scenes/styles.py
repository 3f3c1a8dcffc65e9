"""Make styles in which QGIS shows the results of a scene: beside rasters, and in a GeoPackage.

QGIS loads ``NAME.qml`` with ``NAME.tif``, and of a GeoPackage the default row of its table
``layer_styles``.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from tfinet_mm.scenes.result_rasters import (
    Colour,
    ResultRaster,
    from_and_to,
    transition_colour,
)
from tfinet_mm.structures import ClassTable
from tfinet_mm.utils.files import whole_file

QGIS_VERSION = '3.22.0'
"""Version of the format, which later versions read too."""
DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
# Of changed pixels as in the report; the white of the colour table doesn't show on white.
CHANGED_COLOUR: Colour = (230, 0, 126)
# Probabilities: nothing where nothing changed, and from yellow to dark red.
PROBABILITIES: tuple[tuple[float, Colour, int], ...] = (
    (0.0, (255, 255, 178), 0),
    (0.25, (254, 204, 92), 128),
    (0.5, (253, 141, 60), 255),
    (1.0, (189, 0, 38), 255),
)
POLYGON_ALPHA = 200
OUTLINE = '60,60,60,255', '0.1'
STYLE_TABLE = """
    CREATE TABLE layer_styles (
        id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        f_table_catalog TEXT(256),
        f_table_schema TEXT(256),
        f_table_name TEXT(256),
        f_geometry_column TEXT(256),
        styleName TEXT(30),
        styleQML TEXT,
        styleSLD TEXT,
        useAsDefault BOOLEAN,
        description TEXT,
        owner TEXT(30),
        ui TEXT(30),
        update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    )
"""
"""Columns that QGIS reads and writes."""


def raster_style(raster: ResultRaster) -> str | None:
    """Return the style of a raster, or None where it has too many values for colours.

    Unchanged pixels are transparent, so that an image below shows.

    Args:
        raster: Raster of a scene or a series.

    Example:
        >>> 'type="singlebandpseudocolor"' in raster_style(
        ...     ResultRaster('change_prob', 'float32', float('nan'), 'probability of change')
        ... )
        True
    """
    root, renderer = _raster_document()
    if not raster.class_names:
        _add_probabilities(renderer)
        return _text(root)
    if not raster.colours:
        return None
    renderer.set('type', 'paletted')
    palette = ElementTree.SubElement(renderer, 'colorPalette')
    for value, (name, colour) in enumerate(zip(raster.class_names, raster.colours, strict=True)):
        if value == raster.nodata:
            continue
        if raster.name == 'change' and value == 1:
            colour = CHANGED_COLOUR
        ElementTree.SubElement(
            palette,
            'paletteEntry',
            value=str(value),
            label=name,
            color=_hexadecimal(colour),
            alpha='0' if raster.clear and value == 0 else '255',
        )
    return _text(root)


def write_raster_style(raster: ResultRaster, path: Path) -> None:
    """Write the style of a raster beside it; remove an earlier one if the raster has no style.

    Args:
        raster: The raster.
        path: Its GeoTIFF.
    """
    target, text = path.with_suffix('.qml'), raster_style(raster)
    if text is None:
        target.unlink(missing_ok=True)
        return
    with whole_file(target) as partial:
        partial.write_text(text, encoding='utf-8')


def polygon_style(classes: ClassTable, codes: Sequence[int]) -> str:
    """Return the style of the layer of polygons, a colour for each transition.

    Args:
        classes: The K + 1 classes, the first that of unchanged pixels.
        codes: Transitions to show, 1..K K.
    """
    root = ElementTree.Element('qgis', version=QGIS_VERSION, styleCategories='Symbology')
    renderer = ElementTree.SubElement(
        root,
        'renderer-v2',
        type='categorizedSymbol',
        attr='"from" || \' to \' || "to"',
        symbollevels='0',
        enableorderby='0',
        forceraster='0',
    )
    categories = ElementTree.SubElement(renderer, 'categories')
    symbols = ElementTree.SubElement(renderer, 'symbols')
    for number, code in enumerate(codes):
        old, new = (int(one) for one in from_and_to(np.array(code), classes.num_classes))
        name = f'{classes.names[old]} to {classes.names[new]}'
        ElementTree.SubElement(
            categories, 'category', value=name, label=name, symbol=str(number), render='true'
        )
        _add_fill(symbols, number, transition_colour(classes, old, new))
    return _text(root)


def embed_style(path: Path, layer: str, geometry_column: str, text: str) -> None:
    """Store the default style of a layer in a GeoPackage, which has no table of styles yet.

    The table is listed among the contents, so that GDAL and QGIS see it as a table without
    geometry.
    """
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(STYLE_TABLE)
        database.execute(
            'INSERT INTO gpkg_contents (table_name, data_type, identifier, description) '
            "VALUES ('layer_styles', 'attributes', 'layer_styles', 'styles of QGIS')"
        )
        database.execute(
            'INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, '
            'f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner) '
            "VALUES ('', '', ?, ?, ?, ?, '', 1, 'transitions in the colours of the classes', '')",
            (layer, geometry_column, layer, text),
        )


def _raster_document() -> tuple[ElementTree.Element, ElementTree.Element]:
    root = ElementTree.Element('qgis', version=QGIS_VERSION, styleCategories='Symbology')
    pipe = ElementTree.SubElement(root, 'pipe')
    renderer = ElementTree.SubElement(
        pipe, 'rasterrenderer', band='1', opacity='1', alphaBand='-1', nodataColor=''
    )
    ElementTree.SubElement(renderer, 'rasterTransparency')
    return root, renderer


def _add_probabilities(renderer: ElementTree.Element) -> None:
    renderer.set('type', 'singlebandpseudocolor')
    renderer.set('classificationMin', '0')
    renderer.set('classificationMax', '1')
    shader = ElementTree.SubElement(
        ElementTree.SubElement(renderer, 'rastershader'),
        'colorrampshader',
        colorRampType='INTERPOLATED',
        classificationMode='1',
        clip='0',
        minimumValue='0',
        maximumValue='1',
    )
    for value, colour, alpha in PROBABILITIES:
        ElementTree.SubElement(
            shader,
            'item',
            value=f'{value:g}',
            label=f'{value:g}',
            color=_hexadecimal(colour),
            alpha=str(alpha),
        )


def _add_fill(symbols: ElementTree.Element, number: int, colour: Colour) -> None:
    symbol = ElementTree.SubElement(symbols, 'symbol', type='fill', name=str(number), alpha='1')
    layer = ElementTree.SubElement(symbol, 'layer', {'class': 'SimpleFill', 'enabled': '1'})
    options = ElementTree.SubElement(layer, 'Option', type='Map')
    for name, value in dict(
        color=','.join(map(str, (*colour, POLYGON_ALPHA))),
        style='solid',
        outline_color=OUTLINE[0],
        outline_style='solid',
        outline_width=OUTLINE[1],
        outline_width_unit='MM',
    ).items():
        ElementTree.SubElement(options, 'Option', name=name, type='QString', value=value)


def _hexadecimal(colour: Colour) -> str:
    return '#{:02x}{:02x}{:02x}'.format(*colour)


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return DOCTYPE + ElementTree.tostring(root, encoding='unicode') + '\n'
