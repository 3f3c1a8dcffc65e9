"""Write the maps of a scene or a series as raster tiles in Web Mercator."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import (
    BLOCK_PIXELS,
    PathLike,
    import_geo,
    open_raster,
    row_blocks,
)
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.series.maps import SERIES_FILE, TIMES_CHANGED, WHEN, series_rasters
from tfinet_mm.scenes.source_images import open_images
from tfinet_mm.scenes.tiles.archives import TileWriter, tile_writer
from tfinet_mm.scenes.tiles.layers import (
    Layer,
    PictureLayer,
    ProbabilityLayer,
    clear_tile,
    raster_layer,
)
from tfinet_mm.scenes.tiles.mercator import (
    MOST_ZOOM,
    TILE,
    WORLD,
    TileRange,
    least_zoom,
    native_zoom,
    scene_box,
    tile_ranges,
)
from tfinet_mm.utils.manifest import read_json
from tfinet_mm.version import __version__

RASTERS = dict(
    from_to='transition', change='change', before='land_cover_from', after='land_cover_to'
)
PROBABILITY = 'probability'
PICTURES = dict(picture_before='before', picture_after='after')
SCENE_MAPS = (*RASTERS, PROBABILITY, *PICTURES)
SERIES_MAPS = WHEN, TIMES_CHANGED
# Zooms beyond that of the scene's own pixels, each of four times as many tiles.
MOST_BEYOND = 2
DEGREE_DIGITS = 7


@dataclass(frozen=True)
class TileSummary:
    """Tiles that were written.

    Attributes:
        zooms: Lowest and highest zoom.
        tiles: Number of tiles; those on which nothing is seen aren't written.
        bounds: West, south, east, north in degrees.
    """

    zooms: tuple[int, int]
    tiles: int
    bounds: tuple[float, float, float, float]


def write_tiles(
    folder: PathLike,
    out: PathLike,
    *,
    shown: str | None = None,
    zooms: Sequence[int] | None = None,
    attribution: str = '',
    title: str | None = None,
    before: PathLike | None = None,
    after: PathLike | None = None,
    progress: bool = False,
) -> TileSummary:
    """Write a map of a finished scene or series as tiles of 256 pixels, PNG, in Web Mercator.

    Unchanged land, and what isn't seen, is transparent. Tiles of the highest zoom have the value
    of the nearest pixel of the map. A pixel of a lower zoom has the most frequent class of the four
    below it, or their mean probability. Memory holds a few tiles, whatever the size of the scene.

    Args:
        folder: The folder of a scene, or of a series.
        out: ``NAME.pmtiles``, ``NAME.mbtiles``, or a folder for ``z/x/y.png`` and ``tiles.json``.
        shown: Of a scene ``'from_to'`` (default), ``'change'``, land cover ``'before'`` or
            ``'after'``, ``'probability'``, ``'picture_before'`` or ``'picture_after'``; of a series
            ``'when'`` (default) or ``'times_changed'``.
        zooms: Lowest and highest zoom. By default the lowest is that at which the scene is about a
            tile in size, and the highest that which keeps all its pixels.
        attribution: Line that maps show, as a licence asks for.
        title: Title of the tiles; by default made of the map and the folder.
        before: Image of the first date, for pictures, where it isn't the recorded one.
        after: The same of the second date.
        progress: Show a progress bar.

    Returns:
        Zooms, number of tiles and bounds. The metadata of the tiles has these too, and ``legend``:
        a list with ``name`` and ``colour`` of each entry.

    Raises:
        MissingExtraError: A part of the extra ``geo``, or pmtiles, is not installed.
        SceneError: The scene isn't finished, has no CRS or lies outside of the projection, or an
            option is out of range.
        FileNotFoundError: The image of a picture isn't where it was.
    """
    folder, out = Path(folder), Path(out)
    source = _Series(folder) if (folder / SERIES_FILE).is_file() else _Scene(folder, before, after)
    shown = shown or source.maps[0]
    if shown not in source.maps:
        raise SceneError(
            f'expected one of the maps {", ".join(source.maps)} of {folder}, got {shown!r}'
        )
    box = scene_box(source.grid)
    native = native_zoom(source.grid)
    low, high = zooms or (min(least_zoom(box), native), native)
    _check_zooms(low, high, native)
    work = max(high, native)
    ranges = {zoom: tile_ranges(box, zoom) for zoom in range(low, work + 1)}
    with ExitStack() as stack:
        writer = stack.enter_context(tile_writer(out))
        layer = stack.enter_context(source.layer(shown, out.resolve().parent))
        reader = stack.enter_context(_reader(layer, ranges[work]))
        bar = stack.enter_context(
            tqdm(total=sum(map(len, ranges[work])), unit='tile', disable=not progress)
        )
        pyramid = _Pyramid(layer, reader, ranges, high, writer, bar)
        for part in ranges[low]:
            for x, y in part.places():
                pyramid.make(low, x, y)
        if not pyramid.written:
            # Programs refuse files without any tile.
            first = ranges[low][0]
            writer.add(low, first.left, first.top, clear_tile(TILE))
        bounds = [round(one, DEGREE_DIGITS) for one in _plain_bounds(box)]
        middle = [round((bounds[i] + bounds[i + 2]) / 2, DEGREE_DIGITS) for i in (0, 1)]
        writer.finish(
            dict(
                name=title or f'{layer.title}, {folder.resolve().name}',
                description=layer.title,
                format='png',
                type='overlay',
                version='1',
                attribution=attribution,
                bounds=bounds,
                center=[*middle, low],
                minzoom=low,
                maxzoom=high,
                legend=layer.legend,
                generator=f'tfinet_mm {__version__}',
            )
        )
    west, south, east, north = bounds
    return TileSummary((low, high), max(pyramid.written, 1), (west, south, east, north))


def _check_zooms(low: int, high: int, native: int) -> None:
    most = min(native + MOST_BEYOND, MOST_ZOOM)
    if not 0 <= low <= high <= most:
        raise SceneError(
            f'expected --zoom MIN MAX with 0 <= MIN <= MAX <= {most}, got {low} {high}; zoom '
            f'{native} shows every pixel of the scene, and web maps enlarge its tiles'
        )


def _plain_bounds(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Return a box for metadata, whose west must not be larger than its east."""
    west, south, east, north = box
    return (west, south, east, north) if west <= east else (-180.0, south, 180.0, north)


class _Scene:
    """Maps of a scene."""

    maps = SCENE_MAPS

    def __init__(self, folder: Path, before: PathLike | None, after: PathLike | None) -> None:
        self._results = SceneResults(folder)
        self._images = before, after
        self.grid = self._results.grid

    @contextmanager
    def layer(self, name: str, work: Path) -> Iterator[Layer]:
        """Yield a layer, whose file may be made in ``work`` and removed afterwards."""
        results = self._results
        if name in PICTURES:
            work.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=work, prefix='.tiles-') as folder:
                path = Path(folder) / 'picture.tif'
                self._write_picture(PICTURES[name], path)
                yield PictureLayer(name, f'image {PICTURES[name]}', path)
            return
        if name == PROBABILITY:
            raster = results.rasters['change_prob']
            yield ProbabilityLayer(name, raster.description, results.path(raster.name))
            return
        raster = results.rasters[RASTERS[name]]
        occurring = None
        if name == 'from_to':
            # In the order of the codes, (from - 1) K + to.
            occurring = (np.flatnonzero(results.areas().pixels) + 1).tolist()
        yield raster_layer(raster, results.path(raster.name), results.classes, occurring, name)

    def _write_picture(self, date: str, path: Path) -> None:
        """Write the image of a date as the network saw it: RGB and alpha, a block at a time."""
        rasterio = import_geo('rasterio', 'Tiles for the web')
        grid = self.grid
        options = dict(
            driver='GTiff', dtype='uint8', count=4, width=grid.width, height=grid.height,
            crs=grid.crs, transform=grid.transform, photometric='RGB', alpha='yes',
            tiled=True, compress='DEFLATE', zlevel=1, bigtiff='IF_SAFER',
        )  # fmt: skip
        with open_images(self._results, *self._images) as pair, rasterio.open(
            path, 'w', **options
        ) as file:  # fmt: skip
            for top, rows in row_blocks(grid.height, grid.width, BLOCK_PIXELS):
                values, valid = pair.read((0, top, grid.width, rows))
                bands = np.split(values, 2)[date == 'after']
                bands = bands[:3] if len(bands) >= 3 else np.repeat(bands[:1], 3, axis=0)
                shown = np.concatenate([np.round(bands), 255 * valid[None]]).astype(np.uint8)
                file.write(shown, window=((top, top + rows), (0, grid.width)))


class _Series:
    """Maps of a series."""

    maps = SERIES_MAPS

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = read_json(folder / SERIES_FILE, ['intervals'], 'run tfinet series again') or {}
        self._rasters = series_rasters(found['intervals'])
        with open_raster(self._path(WHEN)) as raster:
            self.grid = SceneGrid(raster.crs, raster.transform, raster.width, raster.height)

    def _path(self, name: str) -> Path:
        return self._folder / f'{name}.tif'

    @contextmanager
    def layer(self, name: str, work: Path) -> Iterator[Layer]:
        """Yield a layer."""
        yield raster_layer(self._rasters[name], self._path(name))


@contextmanager
def _reader(layer: Layer, ranges: Sequence[TileRange]) -> Iterator[Any]:
    """Open the raster of a layer, and yield a function from a tile of the zoom to its values."""
    rasterio = import_geo('rasterio', 'Tiles for the web')
    errors = import_geo('rasterio.errors', 'Tiles for the web')
    vrt = import_geo('rasterio.vrt', 'Tiles for the web')
    enums = import_geo('rasterio.enums', 'Tiles for the web')
    size = WORLD / 2 ** ranges[0].zoom
    with ExitStack() as stack:
        raster = stack.enter_context(open_raster(layer.path, layer.bands))
        warped = []
        for part in ranges:
            # In the pixels of the tiles, so that windows of it are tiles.
            place = rasterio.Affine(
                size / TILE, 0, part.left * size - WORLD / 2,
                0, -size / TILE, WORLD / 2 - part.top * size,
            )  # fmt: skip
            options = dict(
                crs='EPSG:3857',
                transform=place,
                width=(part.right - part.left + 1) * TILE,
                height=(part.bottom - part.top + 1) * TILE,
                resampling=enums.Resampling[layer.resampling],
            )
            warped.append((part, stack.enter_context(vrt.WarpedVRT(raster, **options))))

        def read(x: int, y: int) -> np.ndarray:
            part, source = next(one for one in warped if (x, y) in one[0])
            window = rasterio.windows.Window(
                (x - part.left) * TILE, (y - part.top) * TILE, TILE, TILE
            )
            try:
                values: np.ndarray = source.read(window=window)
            except errors.RasterioError as error:
                raise OSError(f'{layer.path} could not be read, is it damaged? {error}') from error
            return values

        yield read


class _Pyramid:
    """Tiles of all zooms, each made of the four below it, so that few are held at once.

    Attributes:
        written: Number of tiles that something is seen on.
    """

    def __init__(
        self,
        layer: Layer,
        read: Any,
        ranges: dict[int, list[TileRange]],
        high: int,
        writer: TileWriter,
        bar: Any,
    ) -> None:
        self._layer = layer
        self._read = read
        self._ranges = ranges
        self._work = max(ranges)
        self._high = high
        self._writer = writer
        self._bar = bar
        self.written = 0

    def make(self, zoom: int, x: int, y: int) -> np.ndarray | None:
        """Write a tile and all below it; return its values, None where the scene isn't."""
        if not any((x, y) in part for part in self._ranges[zoom]):
            return None
        if zoom == self._work:
            self._bar.update()
            values = self._read(x, y)
        else:
            whole = self._layer.blank(2 * TILE)
            for row in (0, 1):
                for column in (0, 1):
                    part = self.make(zoom + 1, 2 * x + column, 2 * y + row)
                    if part is not None:
                        place = np.s_[
                            :, row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE
                        ]
                        whole[place] = part
            values = self._layer.reduce(whole)
        if zoom <= self._high:
            data = self._layer.draw(values)
            if data is not None:
                self._writer.add(zoom, x, y, data)
                self.written += 1
        return values
