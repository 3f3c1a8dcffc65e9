"""Describe the origin of a scene's results: inputs, network, settings and software."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import PathLike, import_geo
from tfinet_mm.utils.places import gdal_path, name, opening
from tfinet_mm.version import __version__

TAG = 'TFINET_'
"""Start of the names of tags of an origin."""
SHOWN = 120
"""Characters of a tag that an error shows."""
# Settings of speed, on which the results don't depend.
SPEED = ('batch_size',)


def provenance(
    settings: Mapping[str, Any],
    files: Mapping[str, PathLike],
    output: Mapping[str, Any],
    software: Mapping[str, str],
) -> dict[str, Any]:
    """Return the origin of a scene's results as plain values.

    Paths are left out, so that the same inputs give the same files wherever they lie.

    Args:
        settings: Everything that the maps depend on, as in ``scene.json``.
        files: File of each date, ``before`` and ``after``.
        output: Settings of the polygons.
        software: Versions of the programs that ran the network, by name.

    Returns:
        ``software``, versions by name; ``model``, for each network its ``name``, the names of its
        ``config`` and ``checkpoint``, and the SHA-256 of both (``model``, ``weights``);
        ``before`` and ``after``: the ``file``'s name, its ``sha256`` (of a mosaic, of the
        checksums of its parts) or, on another machine, its ``version``, times stated in it
        (``acquired``, ``datetime``), the ``bands`` that were read, their ``stretch``,
        ``resampling`` and ``quality`` band; ``settings``: all others, such as ``threshold``,
        ``tta`` and ``window``.
    """
    rasterio = import_geo('rasterio', 'Reading a scene')
    dates = {}
    for role, path in files.items():
        read = {key: value for key, value in settings[role].items() if key != 'file'}
        dates[role] = dict(file=name(path)) | _content(settings, role) | stated_times(path) | read
        if 'quality' in read:
            dates[role]['quality'] = read['quality'] | _content(settings, f'{role}_quality')
    kept = ('model', 'inputs', 'grid', *dates, *SPEED)
    model = [
        {
            key: name(value) if key in ('config', 'checkpoint') else value
            for key, value in member.items()
        }
        for member in settings['model']
    ]
    return dict(
        software=dict(tfinet_mm=__version__, **software, gdal=rasterio.__gdal_version__),
        model=model,
        **dates,
        settings={key: value for key, value in settings.items() if key not in kept} | dict(output),
    )


def _content(settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    entry = settings['inputs'][key]
    return {part: entry[part] for part in ('sha256', 'version') if part in entry}


def stated_times(path: PathLike) -> dict[str, str]:
    """Return the times that a raster states of itself, as it writes them.

    Returns:
        ``acquired``: GDAL's metadata of satellite images, ``ACQUISITIONDATETIME``; ``datetime``:
        the TIFF tag, often the time of the file's processing. A time that isn't stated is left
        out.
    """
    rasterio = import_geo('rasterio', 'Reading a scene')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with opening(path), rasterio.open(gdal_path(path)) as raster:
            found = dict(
                acquired=raster.tags(ns='IMAGERY').get('ACQUISITIONDATETIME'),
                datetime=raster.tags().get('TIFFTAG_DATETIME'),
            )
    return {key: value for key, value in found.items() if value}


def provenance_tags(found: Mapping[str, Any]) -> dict[str, str]:
    """Return tags for GeoTIFFs and layers, a JSON text for each part of :func:`provenance`.

    Example:
        >>> provenance_tags({'software': {'gdal': '3.9'}})
        {'TFINET_SOFTWARE': '{"gdal": "3.9"}'}
    """
    return {f'{TAG}{name.upper()}': json.dumps(part) for name, part in found.items()}


def check_origin(path: PathLike, raster: Any, found: Mapping[str, Any] | None) -> None:
    """Refuse a raster whose tags say that it was made in another way than its scene.

    Args:
        path: The raster.
        raster: The same, open. Tags that another program has left out aren't compared.
        found: Its scene's :func:`provenance`; None for a scene without.

    Raises:
        SceneError: A tag differs.
    """
    tags = raster.tags()
    for tag, text in provenance_tags(found or {}).items():
        # Files that were made again may be of another version.
        if tag in tags and tags[tag] != text and tag != f'{TAG}SOFTWARE':
            raise SceneError(
                f'{path} is of another scene, or was made with other settings, than the '
                f'scene.json beside it: its tag {tag} is {_short(tags[tag])}, expected '
                f'{_short(text)}; copy its own file back, or make the scene again (--overwrite)'
            )


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f'{text[:SHOWN]}...'
