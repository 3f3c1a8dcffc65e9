"""Find the pixels of a block of rows that polygons cover, and the part of each that they cover.

exactextract, the extra ``zones``, computes parts of pixels; without it a pixel counts whole where
its centre is inside.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tfinet_mm.errors import MissingExtraError, SceneError
from tfinet_mm.io.images import Window
from tfinet_mm.io.rasters import import_geo

METHODS = 'auto', 'exact', 'centre'

Cover = Callable[[Any, Window], tuple[np.ndarray, np.ndarray]]
"""Function from a polygon in columns and rows and a window to the flat indices of the pixels in the
window that it covers, and the part 0..1 of each."""


def choose_method(method: str) -> str:
    """Return 'exact' or 'centre', for 'auto' the first where exactextract is installed.

    Raises:
        MissingExtraError: 'exact' is asked for and exactextract is not installed.
        SceneError: There is no such method.
    """
    if method not in METHODS:
        raise SceneError(f'expected coverage by {", ".join(METHODS)}; got {method!r}')
    if method == 'centre':
        return method
    try:
        importlib.import_module('exactextract')
    except ImportError as error:
        if method == 'auto':
            return 'centre'
        raise MissingExtraError(
            'Parts of pixels need exactextract, which is not installed: pip install '
            '"tfinet-mm[zones]"; with --coverage centre a pixel counts where its centre is inside'
        ) from error
    return 'exact'


def covered(method: str) -> Cover:
    """Return the function that finds covered pixels.

    Args:
        method: 'exact' or 'centre', of :func:`choose_method`.
    """
    return _exact if method == 'exact' else _centres


def _exact(shape: Any, window: Window) -> tuple[np.ndarray, np.ndarray]:
    exactextract = importlib.import_module('exactextract')
    source = importlib.import_module('exactextract.raster').NumPyRasterSource
    shapely = import_geo('shapely', 'Areas within polygons')
    left, top, width, height = window
    # Its y axis leads upwards.
    bounds = left, -(top + height), left + width, -top
    pixels = source(np.zeros((height, width), np.uint8), *bounds)
    upright = shapely.transform(shape, lambda points: points * (1, -1))
    feature = dict(type='Feature', properties={}, geometry=shapely.geometry.mapping(upright))
    found = exactextract.exact_extract(pixels, [feature], ['cell_id', 'coverage'])
    values = found[0]['properties']
    return np.asarray(values['cell_id'], np.int64), np.asarray(values['coverage'], np.float64)


def _centres(shape: Any, window: Window) -> tuple[np.ndarray, np.ndarray]:
    rasterio = import_geo('rasterio', 'Areas within polygons')
    features = import_geo('rasterio.features', 'Areas within polygons')
    inside = features.rasterize(
        [(shape, 1)],
        out_shape=(window.height, window.width),
        transform=rasterio.Affine.translation(window.left, window.top),
        dtype='uint8',
    )
    indices = np.flatnonzero(inside)
    return indices, np.ones(len(indices))
