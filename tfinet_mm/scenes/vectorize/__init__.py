"""Vectorise rasters of any size in blocks of rows: components, their outlines, polygons."""

from tfinet_mm.scenes.vectorize.polygons import PolygonSummary, read_summary, write_polygons

__all__ = ['PolygonSummary', 'read_summary', 'write_polygons']
