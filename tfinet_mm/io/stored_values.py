"""Read what a raster states about its stored values: their bits, and whether 0 is white."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WHITE_ZERO = (
    'declares that its value 0 is white (MINISWHITE), expected 0 as black; write a copy with the '
    'values turned around, for example gdal_translate -scale 0 255 255 0 -co '
    'PHOTOMETRIC=MINISBLACK IN OUT'
)
"""Error of a file, behind its name."""


def is_white_zero(raster: Any) -> bool:
    """Return whether a raster of grey values declares 0 as white, without a table of colours."""
    stated = raster.tags(ns='IMAGE_STRUCTURE').get('MINISWHITE') == 'YES'
    return stated and raster.colorinterp[0].name != 'palette'


def bits_of(raster: Any, bands: Sequence[int]) -> int | None:
    """Return the bits of the bands that a file states to have fewer than their type, else None.

    Args:
        raster: The raster.
        bands: Numbers of bands; those beyond the raster's don't count.
    """
    found = [
        raster.tags(number, ns='IMAGE_STRUCTURE').get('NBITS')
        for number in bands
        if number <= raster.count
    ]
    stated = [int(one) for one in found if one is not None and one.isdecimal()]
    return min(stated, default=None)
