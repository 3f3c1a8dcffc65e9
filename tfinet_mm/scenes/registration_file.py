"""Write the shifts of patches as points for GIS programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.io.geopackage import write_layer
from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.grid import SceneGrid, apply_affine
from tfinet_mm.scenes.registration import Registration
from tfinet_mm.utils.files import whole_file

REGISTRATION_FILE = 'registration.gpkg'
LAYER, ALIGNED_LAYER = 'registration', 'registration_aligned'


def check_registration_file() -> None:
    """Raise the error of a missing package before hours are spent on a prediction.

    Raises:
        MissingExtraError: shapely is not installed.
    """
    import_geo('shapely', 'Writing the shifts of patches (--no-registration leaves them out)')


def write_registration(
    target: str | Path, layers: Mapping[str, tuple[Registration, SceneGrid]]
) -> None:
    """Write a point for the middle of each patch; the file appears once it is complete.

    The fields are ``right_px`` and ``up_px``, by which after lies further right and up;
    ``dx`` and ``dy``, the same in units of the CRS, for arrows; ``quality``, the height of the
    peak of the correlation in standard deviations; and ``used``, 1 where the patch counts.

    Args:
        target: File to write, with the suffix ``.gpkg``.
        layers: For each layer a registration, and the grid it was measured on.

    Raises:
        MissingExtraError: shapely is not installed.
    """
    shapely = import_geo('shapely', 'Writing the shifts of patches')
    with whole_file(Path(target)) as partial:
        for layer, (registration, grid) in layers.items():
            points, fields = _table(registration, grid)
            write_layer(
                partial,
                layer,
                shapely.to_wkb(shapely.points(points)).tolist(),
                fields,
                kind='Point',
                crs=grid.crs,
                append=partial.exists(),
                metadata=dict(TEXT=registration.describe()),
                shown=Path(target),
            )


def _table(registration: Registration, grid: SceneGrid) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the points (N, 2) in the CRS of the grid, and the fields."""
    patches = registration.patches
    x, y = apply_affine(grid.transform, patches.column, patches.row)
    ends = apply_affine(grid.transform, patches.column + patches.right, patches.row + patches.down)
    fields = dict(
        right_px=patches.right,
        up_px=-patches.down,
        dx=ends[0] - x,
        dy=ends[1] - y,
        quality=patches.quality,
        used=patches.used.astype(np.int32),
    )
    return np.stack([x, y], axis=1), fields
