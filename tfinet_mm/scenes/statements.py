"""Refuse what a file or a user states about a date and no pixel can have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike
from tfinet_mm.io.stored_values import WHITE_ZERO, is_white_zero

COLOURS = ['red', 'green', 'blue']


def refuse_white_zero(raster: Any, path: PathLike, role: str) -> None:
    """Refuse a raster of grey values whose 0 is white.

    Raises:
        SceneError: It is one.
    """
    if is_white_zero(raster):
        raise SceneError(f'{role} ({path}) {WHITE_ZERO}')


def stated_crs(role: str, crs: Any) -> Any:
    """Return the CRS that a user states for a date.

    Raises:
        SceneError: It is none.
    """
    import rasterio

    try:
        return rasterio.crs.CRS.from_user_input(crs)
    except rasterio.errors.CRSError as error:
        raise SceneError(
            f'{role}_crs={crs!r} is no CRS ({error}); expected one such as EPSG:32633'
        ) from error


def stated_nodata(nodata: Any, kinds: Sequence[str], name: str) -> float:
    """Return the nodata that a user states for a date.

    Args:
        nodata: The option.
        kinds: Types of the bands.
        name: Date and file, for messages.

    Raises:
        SceneError: It is no number, or one that a band can't hold.
    """
    try:
        value = float(nodata)
    except (TypeError, ValueError):
        raise SceneError(
            f'expected nodata (--nodata) of {name} as a number, got {nodata!r}'
        ) from None
    for kind in sorted(set(kinds)):
        if np.dtype(kind).kind == 'f':
            continue
        limits = np.iinfo(kind)
        if not (limits.min <= value <= limits.max and value == int(value)):
            raise SceneError(
                f'{name} stores {kind} values, which are never nodata={nodata}; expected a whole '
                f'number from {limits.min} to {limits.max} (--nodata)'
            )
    return value
