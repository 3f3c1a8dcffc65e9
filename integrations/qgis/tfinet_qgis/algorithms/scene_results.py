"""The files of a scene that QGIS opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingOutputFile,
    QgsProcessingOutputFolder,
    QgsProcessingOutputRasterLayer,
    QgsProcessingOutputVectorLayer,
)

RASTERS = dict(
    CHANGE=('change.tif', 'Changed or not'),
    PROBABILITY=('change_prob.tif', 'Probability of change'),
    COVER_BEFORE=('land_cover_from.tif', 'Land cover before'),
    COVER_AFTER=('land_cover_to.tif', 'Land cover after'),
    TRANSITION=('transition.tif', 'From what to what'),
)
POLYGONS = 'changes.gpkg', 'Changes'
# The land covers would hide the images, and can be opened from the folder.
OPENED = ('TRANSITION',)


def add_outputs(algorithm: Any) -> None:
    """Declare the files of a scene as outputs of an algorithm.

    Args:
        algorithm: One that writes a scene.
    """
    for name, (_, title) in RASTERS.items():
        algorithm.addOutput(QgsProcessingOutputRasterLayer(name, title))
    algorithm.addOutput(QgsProcessingOutputVectorLayer('POLYGONS', POLYGONS[1]))
    algorithm.addOutput(QgsProcessingOutputFile('AREAS', 'Areas from class to class'))
    algorithm.addOutput(QgsProcessingOutputFolder('SCENE', 'Folder of the scene'))


def scene_outputs(scene: Path) -> dict[str, str]:
    """Return the outputs by name.

    Args:
        scene: Folder of the scene.
    """
    made = {name: str(scene / file) for name, (file, _) in RASTERS.items()}
    made |= dict(AREAS=str(scene / 'areas.csv'), SCENE=str(scene))
    if (scene / POLYGONS[0]).is_file():
        made['POLYGONS'] = _polygons(scene)
    return made


def scene_layers(scene: Path) -> dict[str, Path]:
    """Return the layers to open, by title, in the order of drawing.

    Args:
        scene: Folder of the scene.
    """
    layers: dict[str, Path] = {}
    for name in OPENED:
        file, title = RASTERS[name]
        layers[title] = scene / file
    if (scene / POLYGONS[0]).is_file():
        layers[POLYGONS[1]] = Path(_polygons(scene))
    return layers


def _polygons(scene: Path) -> str:
    return f'{scene / POLYGONS[0]}|layername=changes'
