"""Write tiles to a PMTiles or MBTiles file, or to a folder."""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tfinet_mm.errors import MissingExtraError, SceneError
from tfinet_mm.utils.files import naming_file, whole_file

TILE_JSON = 'tiles.json'
TEN_MILLIONTHS = 10_000_000
# A file is complete before it appears, so SQLite needs no journal of its own.
NO_JOURNAL = 'PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;'
MBTILES_TABLES = f"""{NO_JOURNAL}
    CREATE TABLE metadata (name TEXT, value TEXT);
    CREATE TABLE tiles (
        zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB
    );
    CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row);
"""
SORTED_TABLE = f'{NO_JOURNAL} CREATE TABLE tiles (number INTEGER PRIMARY KEY, data BLOB);'


class TileWriter(Protocol):
    """Target of tiles."""

    def add(self, zoom: int, x: int, y: int, data: bytes) -> None:
        """Store a tile, PNG; row 0 is in the north."""
        ...

    def finish(self, metadata: Mapping[str, Any]) -> None:
        """Store the metadata, those of :func:`~tfinet_mm.scenes.tiles.writing.write_tiles`."""
        ...


@contextmanager
def tile_writer(out: Path) -> Iterator[TileWriter]:
    """Open a file or a folder for tiles; a file appears once it is complete.

    Args:
        out: ``NAME.pmtiles``, ``NAME.mbtiles``, or a folder, which gets ``z/x/y.png`` and, last,
            ``tiles.json``.

    Raises:
        MissingExtraError: The package pmtiles is not installed.
        SceneError: The folder holds something else, or the suffix is another one.
    """
    suffix = out.suffix.lower()
    if suffix == '.mbtiles':
        with whole_file(out) as partial, contextlib.closing(_Database(partial, out)) as database:
            yield database
    elif suffix == '.pmtiles':
        library = _pmtiles()
        with naming_file(out):
            out.parent.mkdir(parents=True, exist_ok=True)
        # In the order of their numbers, which neighbours at one zoom share, readers load fewer
        # parts of a file; tiles are made in another order.
        with (
            tempfile.TemporaryDirectory(dir=out.parent, prefix='.tiles-') as folder,
            contextlib.closing(_Archive(Path(folder) / 'tiles', out, library)) as archive,
        ):
            yield archive
    elif suffix and not out.is_dir():
        raise SceneError(
            f'expected --out as NAME.pmtiles, NAME.mbtiles or a folder without a suffix, got {out}'
        )
    else:
        yield _Folder(out)


def _pmtiles() -> Any:
    try:
        return importlib.import_module('pmtiles.writer'), importlib.import_module('pmtiles.tile')
    except ImportError as error:
        raise MissingExtraError(
            'a .pmtiles file needs pmtiles, which is not installed: pip install '
            '"tfinet-mm[tiles]"; .mbtiles and folders do without'
        ) from error


class _Database:
    """MBTiles 1.3: a SQLite database whose rows of tiles count from the south."""

    def __init__(self, path: Path, out: Path) -> None:
        self._out = out
        self._connection = sqlite3.connect(path)
        with naming_file(out, sqlite3.Error):
            self._connection.executescript(MBTILES_TABLES)

    def add(self, zoom: int, x: int, y: int, data: bytes) -> None:
        row = (1 << zoom) - 1 - y
        with naming_file(self._out, sqlite3.Error):
            self._connection.execute('INSERT INTO tiles VALUES (?, ?, ?, ?)', (zoom, x, row, data))

    def finish(self, metadata: Mapping[str, Any]) -> None:
        rows = [(key, _plain(value)) for key, value in metadata.items()]
        with naming_file(self._out, sqlite3.Error):
            self._connection.executemany('INSERT INTO metadata VALUES (?, ?)', rows)
            self._connection.commit()

    def close(self) -> None:
        self._connection.close()


def _plain(value: Any) -> str:
    """Return a value of metadata as MBTiles has it: numbers of a list between commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, int | float) for one in value):
        return ','.join(f'{one:.10g}' for one in value)
    return json.dumps(value, ensure_ascii=False)


class _Archive:
    """PMTiles 3, by way of a database in which the tiles are sorted."""

    def __init__(self, path: Path, out: Path, library: Any) -> None:
        self._out = out
        self._writer, self._tile = library
        self._connection = sqlite3.connect(path)
        with naming_file(out, sqlite3.Error):
            self._connection.executescript(SORTED_TABLE)

    def add(self, zoom: int, x: int, y: int, data: bytes) -> None:
        number = self._tile.zxy_to_tileid(zoom, x, y)
        with naming_file(self._out, sqlite3.Error):
            self._connection.execute('INSERT INTO tiles VALUES (?, ?)', (number, data))

    def finish(self, metadata: Mapping[str, Any]) -> None:
        west, south, east, north = metadata['bounds']
        longitude, latitude, zoom = metadata['center']
        header = dict(
            tile_type=self._tile.TileType.PNG,
            tile_compression=self._tile.Compression.NONE,
            center_zoom=int(zoom),
        )
        for name, value in dict(
            min_lon=west,
            min_lat=south,
            max_lon=east,
            max_lat=north,
            center_lon=longitude,
            center_lat=latitude,
        ).items():
            header[f'{name}_e7'] = round(value * TEN_MILLIONTHS)
        rows = self._connection.execute('SELECT number, data FROM tiles ORDER BY number')
        with whole_file(self._out) as partial, partial.open('wb') as file:
            writer = self._writer.Writer(file)
            for number, data in rows:
                writer.write_tile(number, data)
            writer.finalize(header, dict(metadata))

    def close(self) -> None:
        self._connection.close()


class _Folder:
    """Folder of files, with a description in the format TileJSON 3.0.0."""

    def __init__(self, path: Path) -> None:
        self._path = path
        made = path / TILE_JSON
        if path.is_dir() and any(path.iterdir()):
            if not made.is_file():
                raise SceneError(
                    f'{path} holds other files and no {TILE_JSON}; choose another --out for tiles'
                )
            made.unlink()
            for folder in path.iterdir():
                if folder.name.isdecimal() and folder.is_dir():
                    shutil.rmtree(folder)

    def add(self, zoom: int, x: int, y: int, data: bytes) -> None:
        target = self._path / str(zoom) / str(x) / f'{y}.png'
        with naming_file(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def finish(self, metadata: Mapping[str, Any]) -> None:
        content = dict(tilejson='3.0.0', tiles=['{z}/{x}/{y}.png'], scheme='xyz') | dict(metadata)
        with whole_file(self._path / TILE_JSON) as partial:
            text = json.dumps(content, indent=2, ensure_ascii=False)
            partial.write_text(text + '\n', encoding='utf-8')
