"""Write the folder of a predicted scene from given maps."""

import json

import numpy as np
from PIL import Image
from rasterio import Affine
from rasterio.crs import CRS

from tfinet_mm.io.rasters import raw_writer
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.write_results import write_results
from tfinet_mm.structures import ClassTable

CLASSES = ClassTable(('same', 'water', 'tree'), ((255, 255, 255), (0, 0, 200), (0, 100, 0)))
PLACE = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 5e6)
UTM = 'EPSG:32633'


def finished_scene(folder, prob, cover_from, cover_to, classes=CLASSES, crs=UTM, place=PLACE):
    """Write the files of a prediction: P(changed) (H, W), NaN without data, and classes 1..K."""
    height, width = prob.shape
    staged = {}
    for name, values in dict(
        change_prob=prob.astype(np.float32), land_cover_from=cover_from, land_cover_to=cover_to
    ).items():
        staged[name] = folder / f'{name}.img'
        staged[name].parent.mkdir(parents=True, exist_ok=True)
        with raw_writer(staged[name], values.dtype.name, *values.shape) as write:
            write(values)
    grid = SceneGrid(crs and CRS.from_user_input(crs), place, width, height)
    out = folder / 'scene'
    found = write_results(out, staged, grid, classes)
    (out / 'scene.json').write_text(json.dumps(found))
    for name, colour in (('before', (200, 150, 100)), ('after', (60, 90, 160))):
        Image.new('RGB', (width, height), colour).save(out / f'{name}.jpg', quality=95)
    return SceneResults(out)
