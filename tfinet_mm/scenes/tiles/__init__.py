"""Raster tiles of the results of a scene, for maps in a browser."""
