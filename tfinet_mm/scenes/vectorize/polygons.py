"""Write polygons of the changes of a scene to a GeoPackage.

The raster is read in blocks of rows; polygons wait on disk until all are known, since the largest
comes first. Memory holds a block and the outlines of regions that continue below it.
shapely, of the extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.geopackage import count_rows, read_metadata, write_layer
from tfinet_mm.io.rasters import (
    BLOCK_PIXELS,
    PathLike,
    check_same_size,
    import_geo,
    open_raster,
    read_rows,
    row_blocks,
)
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.grid import apply_affine
from tfinet_mm.scenes.result_rasters import from_and_to
from tfinet_mm.scenes.styles import embed_style
from tfinet_mm.scenes.vectorize.components import Block, Components
from tfinet_mm.scenes.vectorize.outlines import (
    concatenate_edges,
    find_edges,
    merge_edges,
    no_edges,
    polygons,
)
from tfinet_mm.utils.files import naming_file, whole_file

LAYER = 'changes'
GEOMETRY = 'geom'
# Metadata of the layer that holds the summary as JSON.
SUMMARY = 'SUMMARY'
AREA_FIELDS = {'m2': 'area_m2', 'pixels': 'area_px'}
# Number of polygons that GDAL gets at once.
CHUNK = 20_000
# Values of a polygon that waits on disk.
RECORD = np.dtype(
    [('start', 'i8'), ('bytes', 'i4'), ('code', 'i4'), ('area', 'f8'), ('prob', 'f4')]
)


@dataclass(frozen=True)
class PolygonSummary:
    """Number and area of the polygons of a scene, and of those dropped.

    Attributes:
        unit: Unit of the areas: 'm2', or 'pixels' for a scene without CRS.
        min_area: Least area of the polygons.
        connectivity: 4 or 8.
        polygons: Number of polygons.
        area: Their area.
        dropped: Number of smaller regions that were left out.
        dropped_area: Their area.
    """

    unit: str
    min_area: float
    connectivity: int
    polygons: int
    area: float
    dropped: int
    dropped_area: float


def write_polygons(
    transition: PathLike,
    change_prob: PathLike,
    target: str | Path,
    *,
    classes: tuple[str, ...],
    nodata: int,
    pixel_areas: PixelAreas,
    min_area: float = 0.0,
    connectivity: int = 4,
    block_pixels: int = BLOCK_PIXELS,
    progress: Callable[[int], Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    style: Callable[[Sequence[int]], str] | None = None,
) -> PolygonSummary:
    """Write a polygon for each region of one transition; the file appears once it is complete.

    The layer ``changes`` has the fields ``from`` and ``to`` (names of classes), ``from_class``,
    ``to_class`` (1..K), ``area_m2`` (``area_px``, in pixels, for a scene without CRS) and
    ``mean_prob``, the mean of P(changed) over the polygon's pixels. The largest polygon is the
    first. Areas are sums of the pixels' true areas, even where the outline in the CRS encloses
    another area.

    Args:
        transition: Raster of :func:`tfinet_mm.scenes.result_rasters.transition_codes`.
        change_prob: Raster of P(changed) of the same size.
        target: File to write, with the suffix ``.gpkg``.
        classes: The K land-cover classes.
        nodata: Code of pixels without data.
        pixel_areas: Areas of the pixels, whose grid and CRS the polygons get.
        min_area: Least area of a polygon in square metres, or in pixels for a scene without CRS.
        connectivity: 4: pixels of a region share edges, which gives polygons; 8: or corners, which
            gives multipolygons.
        block_pixels: Pixels of a block; of the result only the order of equal areas depends on it.
        progress: Function called with the number of rows after each block.
        metadata: Metadata of the layer, besides the summary.
        style: Function from the codes of the polygons to the layer's style for QGIS.

    Returns:
        Number and area of the polygons and of those left out, which the layer stores too.

    Raises:
        MissingExtraError: rasterio or shapely is not installed.
        SceneError: A raster is not of the grid's size, or an option is out of range.
    """
    import_geo('shapely', 'Writing polygons')
    grid = pixel_areas.grid
    if not (min_area >= 0 and np.isfinite(min_area)):
        raise SceneError(f'min_area must be 0 or more, got {min_area}')
    components = Components(grid.width, connectivity)
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        naming_file(target),
        open_raster(transition) as codes,
        open_raster(change_prob) as probabilities,
        tempfile.TemporaryFile(dir=target.parent) as shapes,
        tempfile.TemporaryFile(dir=target.parent) as records,
    ):
        for path, raster in ((transition, codes), (change_prob, probabilities)):
            check_same_size(path, raster, grid.height, grid.width)
        pending = _OpenPolygons(shapes, records, grid.transform, min_area, multi=connectivity == 8)
        for top, rows in row_blocks(grid.height, grid.width, block_pixels):
            values = read_rows(codes, top, rows)
            values[values == nodata] = 0
            weights = [read_rows(probabilities, top, rows)]
            if pixel_areas.constant is None:
                weights.append(pixel_areas.rows(top, rows))
            block = components.add(values, *weights, last=top + rows == grid.height)
            if pixel_areas.constant is not None:
                areas = block.sums[:, 0] * pixel_areas.constant
            else:
                areas = block.sums[:, 2]
            pending.take(block, areas, top)
            if progress is not None:
                progress(rows)
        records.seek(0)
        found = np.fromfile(records, RECORD)
        summary = PolygonSummary(
            unit='pixels' if pixel_areas.method == 'pixels' else 'm2',
            min_area=float(min_area),
            connectivity=connectivity,
            polygons=len(found),
            area=float(found['area'].sum()),
            dropped=pending.dropped,
            dropped_area=pending.dropped_area,
        )
        _write(target, grid.crs, shapes, found, classes, summary, metadata or {}, style)
    return summary


class _OpenPolygons:
    """Finished polygons on disk, and the edges of regions that continue below."""

    def __init__(
        self, shapes: BinaryIO, records: BinaryIO, transform: Any, min_area: float, multi: bool
    ) -> None:
        self._shapely = import_geo('shapely', 'Writing polygons')
        self._shapes, self._records = shapes, records
        self._transform = transform
        # So that the result doesn't depend on the rounding of a sum of areas.
        self._min_area = min_area * (1 - 1e-9)
        self._multi = multi
        self._written = 0
        self._edges = no_edges()
        self.dropped = 0
        self.dropped_area = 0.0

    def take(self, block: Block, areas: np.ndarray, top: int) -> None:
        """Store the regions that end in a block, and keep the edges of the others."""
        large = areas >= self._min_area
        done = ~block.open
        self.dropped += int((done & ~large).sum())
        self.dropped_area += float(areas[done & ~large].sum())
        kept = block.open | large
        grown = np.zeros(len(areas), bool)
        grown[block.above] = True
        left, upper, right, lower = block.boxes.T
        # Most regions of a noisy scene are rectangles, whose edges needn't be followed.
        boxes = large & done & ~grown & ((right - left) * (lower - upper) == block.own)
        known = self._edges._replace(owner=block.above[self._edges.owner])
        known = known.take(kept[known.owner])
        found = no_edges()
        if (kept & ~boxes).any():
            found = find_edges(block.labels, kept & ~boxes, top)
        ended = done[known.owner], done[found.owner]
        over = grown[found.owner]
        whole = concatenate_edges(
            merge_edges(concatenate_edges(known.take(ended[0]), found.take(ended[1] & over))),
            found.take(ended[1] & ~over),
        )
        walked, owners = polygons(whole)
        move = np.array([[0], [top], [0], [top]])
        made = np.concatenate([self._shapely.box(*(block.boxes[boxes].T + move)), walked])
        self._put(made, np.concatenate([np.flatnonzero(boxes), owners]), block, areas)
        self._edges = concatenate_edges(known.take(~ended[0]), found.take(~ended[1]))
        still = np.cumsum(block.open) - 1
        self._edges = self._edges._replace(owner=still[self._edges.owner])

    def _put(self, made: np.ndarray, numbers: np.ndarray, block: Block, areas: np.ndarray) -> None:
        order = np.argsort(numbers, kind='stable')
        made, numbers = made[order], numbers[order]
        if self._multi:
            numbers, indices = np.unique(numbers, return_inverse=True)
            made = self._shapely.multipolygons(made, indices=indices)
        placed = self._shapely.transform(
            made, lambda points: np.stack(apply_affine(self._transform, *points.T), axis=1)
        )
        stored = self._shapely.to_wkb(placed)
        records = np.empty(len(stored), RECORD)
        records['bytes'] = [len(one) for one in stored]
        ends = np.cumsum(records['bytes'], dtype=np.int64)
        records['start'] = self._written + ends - records['bytes']
        records['area'] = areas[numbers]
        records['prob'] = block.sums[numbers, 1] / block.sums[numbers, 0]
        records['code'] = block.values[numbers]
        self._shapes.writelines(stored)
        self._written += int(records['bytes'].sum(dtype=np.int64))
        self._records.write(records.tobytes())


def _write(
    target: Path,
    crs: Any,
    shapes: BinaryIO,
    records: np.ndarray,
    classes: tuple[str, ...],
    summary: PolygonSummary,
    metadata: Mapping[str, str],
    style: Callable[[Sequence[int]], str] | None,
) -> None:
    stored = {**metadata, SUMMARY: json.dumps(asdict(summary))}
    names = np.array(['', *classes], object)
    order = np.argsort(-records['area'], kind='stable')
    with whole_file(target) as partial:
        for start in range(0, max(len(records), 1), CHUNK):
            part = records[order[start : start + CHUNK]]
            before, after = from_and_to(part['code'], len(classes))
            fields = {
                'from': names[before],
                'to': names[after],
                'from_class': before.astype(np.int32),
                'to_class': after.astype(np.int32),
                AREA_FIELDS[summary.unit]: part['area'].copy(),
                'mean_prob': part['prob'].astype(np.float64),
            }
            write_layer(
                partial,
                LAYER,
                _stored(shapes, part),
                fields,
                kind='Polygon' if summary.connectivity == 4 else 'MultiPolygon',
                crs=crs,
                append=start > 0,
                metadata=stored if start == 0 else None,
                geometry=GEOMETRY,
                shown=target,
            )
        # GDAL may close a file that it couldn't write to without an error.
        found = count_rows(partial, LAYER)
        if found != len(records):
            raise OSError(f'{target} has {found} polygons, expected {len(records)}')
        if style is not None:
            embed_style(partial, LAYER, GEOMETRY, style(np.unique(records['code']).tolist()))


def _stored(shapes: BinaryIO, records: np.ndarray) -> list[bytes]:
    found = []
    for record in records:
        shapes.seek(record['start'])
        found.append(shapes.read(record['bytes']))
    return found


def read_summary(path: str | Path) -> PolygonSummary:
    """Return the summary in a file of :func:`write_polygons`.

    Raises:
        SceneError: The file was not written by it.
    """
    metadata = read_metadata(path, LAYER)
    if SUMMARY not in metadata:
        raise SceneError(
            f'{path} has no summary of polygons, expected a file of this package; predict the '
            'scene again'
        )
    return PolygonSummary(**json.loads(metadata[SUMMARY]))
