"""Say how to place a raster by a transform: the command for GDAL's own program."""

from __future__ import annotations

import os
import shlex
from typing import Any, NamedTuple

import numpy as np

from tfinet_mm.utils.places import gdal_path, is_virtual, stem

# Points from which a thin plate spline follows the ground; fewer give one affine map.
SPLINE_POINTS = 10
UNKNOWN = 'EPSG:...'


class WarpAdvice(NamedTuple):
    """Advice on placing a raster.

    Attributes:
        command: The command ``gdalwarp``.
        note: What to know about it.
    """

    command: str
    note: str


def warp_advice(raster: Any, path: Any, crs: Any = None) -> WarpAdvice:
    """Return the command that places a raster of control points, RPCs or a geolocation array.

    Args:
        raster: The open raster.
        path: The file as the user names it.
        crs: CRS of the other date, where it has one; by default the UTM zone of the raster.
    """
    points, of_points = raster.gcps
    words, centre = ['gdalwarp'], None
    if points:
        spline = len(points) >= SPLINE_POINTS
        words += ['-tps'] if spline else ['-order', '1']
        note = (
            '-tps bends the image through every point; with -order 1 in its place it is only '
            'shifted, turned and scaled'
            if spline
            else '-order 1 shifts, turns and scales the image; hills need more points (and -tps)'
        )
        if of_points is None:
            words += ['-s_srs', UNKNOWN]
            note += '; the points state no CRS, so give theirs with -s_srs'
        else:
            centre = _centre([point.x for point in points], [point.y for point in points])
            centre = _longitude_latitude(of_points, *centre)
    elif raster.rpcs is not None:
        words += ['-rpc', '-to', 'RPC_DEM=DEM.tif']
        centre = raster.rpcs.long_off, raster.rpcs.lat_off
        note = (
            'DEM.tif stands for an elevation model of the place, with heights above the ellipsoid '
            'or with their vertical CRS; without one, -to '
            f'RPC_HEIGHT={raster.rpcs.height_off:g} in its place takes one height for the whole '
            'image, and hills are then shifted'
        )
    else:
        words.append('-geoloc')
        note = '-geoloc takes the places of all pixels that the file states'
    words += ['-t_srs', _name_crs(crs) or _utm(centre), '-r', 'bilinear']
    alpha = any(role.name == 'alpha' for role in raster.colorinterp)
    if raster.nodata is None and not alpha:
        # Ground that the image doesn't show is marked.
        words.append('-dstalpha')
    place = gdal_path(path)
    out = f'{stem(path) if is_virtual(path) else os.path.splitext(place)[0]}_warped.tif'
    return WarpAdvice(shlex.join([*words, place, out]), note)


def _centre(x: list[float], y: list[float]) -> tuple[float, float]:
    return float(np.mean(x)), float(np.mean(y))


def _longitude_latitude(crs: Any, x: float, y: float) -> tuple[float, float] | None:
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    try:
        (longitude,), (latitude,) = transform(crs, 'OGC:CRS84', [x], [y])
    except RasterioError:
        return None
    return longitude, latitude


def _name_crs(crs: Any) -> str | None:
    """Return a CRS in words for the command line; None where it has no short name."""
    authority = None if crs is None else crs.to_authority()
    return None if authority is None else ':'.join(authority)


def _utm(centre: tuple[float, float] | None) -> str:
    """Return the UTM zone of a longitude and a latitude.

    Example:
        >>> _utm((15.2, 45.0)), _utm((-70.6, -33.4)), _utm(None)
        ('EPSG:32633', 'EPSG:32719', 'EPSG:...')
    """
    if centre is None or not np.isfinite(centre).all():
        return UNKNOWN
    longitude, latitude = centre
    zone = int((longitude + 180) % 360 // 6) + 1
    return f'EPSG:{(32600 if latitude >= 0 else 32700) + zone}'
