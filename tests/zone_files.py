"""Write a scene and polygons whose areas are known."""

import numpy as np
import pyogrio
import shapely
from finished_scene import finished_scene

SIZE = 20
WEST, NORTH = 500_000, 5_000_000

# In metres from the upper left corner of the scene, downwards.
SQUARES = [
    # 30 m x 30 m: 15 m of it changed.
    shapely.box(25, 20, 55, 50),
    # Of 60 m x 20 m, 20 m without change and 40 m without data.
    shapely.box(140, 15, 200, 35),
    # Of 40 m x 10 m, 20 m without data and 20 m outside.
    shapely.box(180, 100, 220, 110),
    shapely.box(1000, 1000, 1010, 1010),
]


def striped_scene(folder, **options):
    """Make 20 x 20 pixels of 10 m: water; in columns 0 to 3 to tree; no data in columns 16 on."""
    prob = np.full((SIZE, SIZE), 0.1)
    prob[:, :4] = 0.9
    prob[:, 16:] = np.nan
    old, new = np.ones((2, SIZE, SIZE), np.uint8)
    new[:, :4] = 2
    return finished_scene(folder, prob, old, new, **options)


def write_shapes(path, shapes, names=None, crs='EPSG:32633', place=True, layer=None):
    """Write shapes in metres from the scene's upper left corner, downwards; else as they are."""
    shapes = np.array(shapes, object)
    if place:
        shapes = shapely.transform(shapes, lambda xy: xy * (1, -1) + np.array([WEST, NORTH]))
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(shapes),
        field_data=[] if names is None else [np.array(names, object)],
        fields=[] if names is None else ['name'],
        geometry_type='Unknown',
        crs=crs,
        layer=layer,
        append=layer is not None and path.exists(),
    )
    return path
