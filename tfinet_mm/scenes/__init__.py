"""Whole georeferenced scenes: grids, windowed reading, blending (extra ``geo``)."""
