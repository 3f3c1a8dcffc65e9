"""Find the files that a virtual raster (VRT) names and that can't be opened.

GDAL reports a missing file when it is read first, and may give zeros from then on. rasterio, the
extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

import functools
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from tfinet_mm.io.damage import cause_of, read_errors
from tfinet_mm.utils.places import archived, is_remote, is_virtual

NAMING = 'SourceFilename', 'SourceDataset'
"""Elements of a VRT that name another file."""
INSIDE = re.compile(r'[A-Z][A-Z0-9_]+:|vrt://')
"""Start of the name of a raster within a file, such as NETCDF:a.nc:band; GDAL finds its path."""


def missing_source(raster: Any) -> str | None:
    """Return the first file that a virtual raster names and that can't be opened.

    Virtual rasters that it names are searched too. Files on other machines, and rasters within a
    file such as NetCDF whose name is relative, are left to GDAL.

    Args:
        raster: Any open raster.

    Returns:
        A part of a sentence, "NAME, which is missing"; None where all are there, and for a raster
        of another kind.
    """
    return _missing(raster, set())


def _missing(raster: Any, seen: set[str]) -> str | None:
    if raster.driver != 'VRT':
        return None
    text = raster.tags(ns='xml:VRT').get('xml:VRT', '')
    # A VRT may be its own text.
    folder = '' if raster.name.startswith('<') else os.path.dirname(raster.name)
    for name in _names(text, folder):
        if name in seen or is_remote(name):
            continue
        seen.add(name)
        found = _missing_file(name, seen)
        if found is not None:
            return found
    return None


def _names(text: str, folder: str) -> Iterator[str]:
    """Yield the names in the text of a VRT, those that are relative to it within its folder."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return
    for element in root.iter():
        if element.tag not in NAMING or not element.text:
            continue
        # GDAL writes the attribute with a capital letter or without.
        marks = {key.lower(): value for key, value in element.attrib.items()}
        inside = os.path.join(folder, element.text)
        relative = marks.get('relativetovrt') == '1'
        if not relative:
            yield element.text
        elif not INSIDE.match(element.text) or os.path.exists(inside):
            yield inside


def _missing_file(name: str, seen: set[str]) -> str | None:
    plain = not (is_virtual(name) or name.startswith('<') or INSIDE.match(name))
    if plain and not os.path.exists(name):
        return f'{name}, which is missing'
    if os.path.isfile(name):
        known = os.stat(name)
        cause, nested = _opened(name, known.st_mtime_ns, known.st_size)
    else:
        held = archived(name)
        if held is not None and not os.path.isfile(held.archive):
            return f'{name}, which is missing'
        cause, nested = _opened.__wrapped__(name, 0, 0)
    if cause is not None:
        return f'{name}, which can not be opened ({cause})'
    if not nested:
        return None
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(name, sharing=False) as raster:
            return _missing(raster, seen)


@functools.lru_cache(maxsize=1 << 16)
def _opened(name: str, changed: int, size: int) -> tuple[str | None, bool]:
    """Return why a raster can't be opened, and whether it is a VRT; known until it changes."""
    import rasterio

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(name, sharing=False) as raster:
                return None, raster.driver == 'VRT'
    except read_errors() as error:
        return cause_of(error), False
