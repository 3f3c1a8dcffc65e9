"""Vectorise rasters of any size in blocks of rows: regions, their outlines, polygons.

Of this package and not ``rasterio.features.shapes``, because that needs the whole raster in
memory, hands out regions one at a time as dictionaries, and knows nothing of sums over their
pixels (area, mean probability). Here all regions of a block are found and outlined at once, in
NumPy, several times as fast: see ``docs/scene_results.md``.
"""

from tfinet_mm.scenes.vectorize.polygons import PolygonSummary, read_summary, write_polygons

__all__ = ['PolygonSummary', 'read_summary', 'write_polygons']
