"""Write and read layers of GeoPackages, which are SQLite databases.

pyogrio writes where it is installed, with an index of the places that makes large layers quick to
show. Without it, Python's own SQLite writes the same layers without that index, by the standard OGC
12-128r18. Reading needs SQLite alone.
"""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import import_geo
from tfinet_mm.utils.files import naming_file

APPLICATION_ID = 0x47504B47
VERSION = 10400
"""Marks of a file of GeoPackage 1.4."""
UNDEFINED = -1
"""Number of a reference system that isn't known."""
CUSTOM = 100_000
"""Number of one that EPSG doesn't have."""
METADATA_URI = 'http://gdal.org'
METADATA_EXTENSION = 'http://www.geopackage.org/spec120/#extension_metadata'
# Little-endian, without an envelope.
HEADER = b'GP\0\1'
HEADER_BYTES = 8
ENVELOPE_BYTES = (0, 32, 48, 48, 64)
"""Bytes of the envelope after the header, by the number of its kind."""
NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
TABLES = f"""
CREATE TABLE gpkg_spatial_ref_sys (
    srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
    organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT
);
CREATE TABLE gpkg_contents (
    table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
    description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT ({NOW}),
    min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE,
    srs_id INTEGER REFERENCES gpkg_spatial_ref_sys(srs_id)
);
CREATE TABLE gpkg_geometry_columns (
    table_name TEXT NOT NULL UNIQUE REFERENCES gpkg_contents(table_name),
    column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL,
    srs_id INTEGER NOT NULL REFERENCES gpkg_spatial_ref_sys(srs_id),
    z TINYINT NOT NULL, m TINYINT NOT NULL, PRIMARY KEY (table_name, column_name)
);
CREATE TABLE gpkg_extensions (
    table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL,
    scope TEXT NOT NULL, UNIQUE (table_name, column_name, extension_name)
);
CREATE TABLE gpkg_metadata (
    id INTEGER PRIMARY KEY, md_scope TEXT NOT NULL DEFAULT 'dataset',
    md_standard_uri TEXT NOT NULL, mime_type TEXT NOT NULL DEFAULT 'text/xml',
    metadata TEXT NOT NULL DEFAULT ''
);
CREATE TABLE gpkg_metadata_reference (
    reference_scope TEXT NOT NULL, table_name TEXT, column_name TEXT, row_id_value INTEGER,
    timestamp DATETIME NOT NULL DEFAULT ({NOW}),
    md_file_id INTEGER NOT NULL REFERENCES gpkg_metadata(id),
    md_parent_id INTEGER REFERENCES gpkg_metadata(id)
);
INSERT INTO gpkg_spatial_ref_sys VALUES
    ('unknown, in a plane', -1, 'NONE', -1, 'undefined', NULL),
    ('unknown, in degrees', 0, 'NONE', 0, 'undefined', NULL);
INSERT INTO gpkg_extensions VALUES
    ('gpkg_metadata', NULL, 'gpkg_metadata', '{METADATA_EXTENSION}', 'read-write'),
    ('gpkg_metadata_reference', NULL, 'gpkg_metadata', '{METADATA_EXTENSION}', 'read-write');
"""


def write_layer(
    path: Path,
    layer: str,
    shapes: Sequence[bytes],
    fields: Mapping[str, np.ndarray],
    *,
    kind: str,
    crs: Any,
    append: bool = False,
    metadata: Mapping[str, str] | None = None,
    geometry: str = 'geom',
    shown: Path | None = None,
) -> None:
    """Write a layer to a new file or to one that is there, or add to a layer.

    Args:
        path: The file.
        layer: Name of the layer.
        shapes: Its N shapes as WKB.
        fields: The N values of each field: whole numbers, floats, or text as objects.
        kind: ``'Point'``, ``'Polygon'`` or ``'MultiPolygon'``.
        crs: ``rasterio.crs.CRS`` of the shapes, or None.
        append: Add to the file, and to the layer if it is in there; otherwise the file is new.
        metadata: Text by key that the layer gets, where it is new.
        geometry: Name of the column of shapes, where the layer is new.
        shown: File that errors name, where ``path`` is an unfinished one; by default ``path``.

    Raises:
        MissingExtraError: shapely is not installed.
        OSError: The file can't be written.
    """
    shapely = import_geo('shapely', 'Writing polygons and points')
    if find_spec('pyogrio') is None:
        with naming_file(shown or path, sqlite3.Error), _opened(path) as database:
            if not append:
                _start(database)
            known = database.execute(
                'SELECT 1 FROM gpkg_contents WHERE table_name = ?', (layer,)
            ).fetchone()
            if known is None:
                _add_layer(database, layer, fields, kind, crs, metadata or {}, geometry)
            _add_rows(database, layer, shapes, fields)
            if len(shapes):
                bounds = shapely.total_bounds(shapely.from_wkb(shapes)).tolist()
                _widen(database, layer, bounds)
        return
    pyogrio = import_geo('pyogrio', 'Writing polygons and points')
    with naming_file(shown or path, *_failures(pyogrio)), warnings.catch_warnings():
        # A scene may have no CRS.
        warnings.filterwarnings('ignore', message=".*'crs' was not provided")
        pyogrio.raw.write(
            path,
            geometry=np.asarray(shapes, object),
            field_data=list(fields.values()),
            fields=list(fields),
            layer=layer,
            driver='GPKG',
            geometry_type=kind,
            crs=None if crs is None else crs.to_wkt(),
            append=append,
            layer_metadata=metadata,
            layer_options=dict(geometry_name=geometry),
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        yield database


def _start(database: sqlite3.Connection) -> None:
    database.execute(f'PRAGMA application_id = {APPLICATION_ID}')
    database.execute(f'PRAGMA user_version = {VERSION}')
    database.executescript(TABLES)
    _add_reference(database, import_geo('rasterio.crs', 'A GeoPackage').CRS.from_epsg(4326))


def _add_layer(
    database: sqlite3.Connection,
    layer: str,
    fields: Mapping[str, np.ndarray],
    kind: str,
    crs: Any,
    metadata: Mapping[str, str],
    geometry: str,
) -> None:
    number = UNDEFINED if crs is None else _add_reference(database, crs)
    columns = ['fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL', f'{_quoted(geometry)} {kind}']
    columns += [f'{_quoted(name)} {_type_of(values.dtype)}' for name, values in fields.items()]
    database.execute(f'CREATE TABLE {_quoted(layer)} ({", ".join(columns)})')
    database.execute(
        'INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) '
        "VALUES (?, 'features', ?, ?)",
        (layer, layer, number),
    )
    database.execute(
        'INSERT INTO gpkg_geometry_columns VALUES (?, ?, ?, ?, 0, 0)',
        (layer, geometry, kind.upper(), number),
    )
    if metadata:
        made = database.execute(
            'INSERT INTO gpkg_metadata (md_standard_uri, metadata) VALUES (?, ?)',
            (METADATA_URI, _as_xml(metadata)),
        )
        database.execute(
            'INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id) '
            "VALUES ('table', ?, ?)",
            (layer, made.lastrowid),
        )


def _add_reference(database: sqlite3.Connection, crs: Any) -> int:
    """Return the number of a reference system, which is added where it is missing."""
    found = crs.to_authority(confidence_threshold=100)
    number = CUSTOM
    organization = 'NONE'
    if found is not None and found[0] == 'EPSG' and found[1].isdecimal():
        organization, number = 'EPSG', int(found[1])
    definition = crs.to_wkt()
    rows = database.execute('SELECT srs_id, definition FROM gpkg_spatial_ref_sys').fetchall()
    for one, text in rows:
        if text == definition or (organization == 'EPSG' and one == number):
            return int(one)
    while organization == 'NONE' and any(one == number for one, _ in rows):
        number += 1
    # The name is the first text in quotes of the definition.
    name = definition.split('"')[1] if '"' in definition else 'unnamed'
    database.execute(
        'INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, NULL)',
        (name, number, organization, number, definition),
    )
    return number


def _add_rows(
    database: sqlite3.Connection,
    layer: str,
    shapes: Sequence[bytes],
    fields: Mapping[str, np.ndarray],
) -> None:
    header = HEADER + _number_of(database, layer).to_bytes(4, 'little', signed=True)
    columns = [values.tolist() for values in fields.values()]
    places = ', '.join('?' * (len(columns) + 2))
    database.executemany(
        f'INSERT INTO {_quoted(layer)} VALUES ({places})',
        zip([None] * len(shapes), (header + one for one in shapes), *columns, strict=True),
    )


def _number_of(database: sqlite3.Connection, layer: str) -> int:
    ((number,),) = database.execute(
        'SELECT srs_id FROM gpkg_contents WHERE table_name = ?', (layer,)
    )
    return int(number)


def _widen(database: sqlite3.Connection, layer: str, bounds: Sequence[float]) -> None:
    """Let the extent of a layer hold more."""
    left, lower, right, upper = bounds
    database.execute(
        'UPDATE gpkg_contents SET min_x = min(ifnull(min_x, ?1), ?1), '
        'min_y = min(ifnull(min_y, ?2), ?2), max_x = max(ifnull(max_x, ?3), ?3), '
        'max_y = max(ifnull(max_y, ?4), ?4) WHERE table_name = ?5',
        (left, lower, right, upper, layer),
    )


def read_metadata(path: str | Path, layer: str) -> dict[str, str]:
    """Return the metadata of a layer, text by key, empty where it has none.

    Raises:
        SceneError: The file is no GeoPackage.
    """
    with _read(path) as database:
        has = "SELECT count(*) FROM sqlite_master WHERE name = 'gpkg_metadata_reference'"
        if not database.execute(has).fetchone()[0]:
            return {}
        rows = database.execute(
            'SELECT metadata FROM gpkg_metadata JOIN gpkg_metadata_reference ON id = md_file_id '
            'WHERE table_name = ? AND md_standard_uri = ?',
            (layer, METADATA_URI),
        ).fetchall()
        return {
            item.get('key', ''): item.text or ''
            for (text,) in rows
            for item in ElementTree.fromstring(text).iter('MDI')
        }


def read_rows(
    path: str | Path, layer: str, fields: Sequence[str], most: int, geometry: str = 'geom'
) -> tuple[list[bytes], dict[str, list[Any]]]:
    """Return the first shapes of a layer as WKB, and the values of some fields.

    Args:
        path: The file.
        layer: Name of the layer.
        fields: Names of the fields.
        most: Greatest number of rows.
        geometry: Name of the column of shapes.

    Raises:
        SceneError: The file is no GeoPackage, or lacks the layer or a field.
    """
    chosen = ', '.join(map(_quoted, (geometry, *fields)))
    with _read(path) as database:
        rows = database.execute(
            f'SELECT {chosen} FROM {_quoted(layer)} ORDER BY fid LIMIT ?', (most,)
        ).fetchall()
    shapes = [row[0][HEADER_BYTES + ENVELOPE_BYTES[row[0][3] >> 1 & 7] :] for row in rows]
    return shapes, {name: [row[place] for row in rows] for place, name in enumerate(fields, 1)}


def count_rows(path: str | Path, layer: str) -> int:
    """Return the number of shapes of a layer.

    Raises:
        SceneError: The file is no GeoPackage, or lacks the layer.
    """
    with _read(path) as database:
        return int(database.execute(f'SELECT count(*) FROM {_quoted(layer)}').fetchone()[0])


@contextlib.contextmanager
def _read(path: str | Path) -> Iterator[sqlite3.Connection]:
    address = f'{Path(path).absolute().as_uri()}?mode=ro'
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            yield database
    except (sqlite3.Error, ElementTree.ParseError) as error:
        raise SceneError(
            f'{path} can not be read as a GeoPackage ({error}); remove it and predict the scene '
            'again'
        ) from error


def _as_xml(metadata: Mapping[str, str]) -> str:
    root = ElementTree.Element('GDALMultiDomainMetadata')
    domain = ElementTree.SubElement(root, 'Metadata')
    for key, text in metadata.items():
        ElementTree.SubElement(domain, 'MDI', key=key).text = text
    return ElementTree.tostring(root, encoding='unicode')


def _type_of(dtype: np.dtype[Any]) -> str:
    if dtype.kind == 'i':
        return 'INTEGER' if dtype.itemsize > 4 else 'MEDIUMINT'
    return {'f': 'REAL', 'O': 'TEXT'}[dtype.kind]


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _failures(pyogrio: Any) -> tuple[type[Exception], ...]:
    """Return the errors with which pyogrio ends where a file can't be written."""
    names = ('DataSourceError', 'DataLayerError', 'FeatureError', 'FieldError', 'GeometryError')
    return tuple(getattr(pyogrio.errors, one) for one in names if hasattr(pyogrio.errors, one))
