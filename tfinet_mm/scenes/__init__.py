"""Whole georeferenced scenes: grids, windowed reading, blending, results (extra ``geo``)."""

from tfinet_mm.scenes.prediction import predict_scene

__all__ = ['predict_scene']
