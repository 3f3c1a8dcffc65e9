"""Vectorise rasters of any size in blocks of rows: regions, their outlines, polygons.

``rasterio.features.shapes`` needs the whole raster in memory, returns one region at a time as a
dictionary, and knows nothing of sums over a region's pixels (area, mean probability). Here all
regions of a block are found and outlined at once in NumPy: ``docs/scene_results.md`` has the times.
"""

from tfinet_mm.scenes.vectorize.polygons import PolygonSummary, read_summary, write_polygons

__all__ = ['PolygonSummary', 'read_summary', 'write_polygons']
