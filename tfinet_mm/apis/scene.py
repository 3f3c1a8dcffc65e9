"""Predict scenes from Python, with the weights of the package where none are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.io.images import PathLike
from tfinet_mm.scenes import prediction


def predict_scene(
    inferencer: SCDInferencer | None,
    before: PathLike,
    after: PathLike,
    out: PathLike,
    **options: Any,
) -> Path:
    """Predict two georeferenced rasters of any size, and write maps, polygons and areas.

    Args:
        inferencer: The trained network; None for the weights that come with the package.
        before: The file of the first date: a path, also into a zip file (``a.zip/b.tif``), an
            address (``https://...``), or a ``/vsi`` path of GDAL.
        after: The file of the second.
        out: Folder for the results, see ``docs/scene_results.md``.
        **options: Further arguments of :func:`tfinet_mm.scenes.prediction.predict_scene`.

    Returns:
        ``out``. Nothing is done where it holds these results already.

    Raises:
        FileNotFoundError: There is no such file.
        MissingExtraError: rasterio, or a package for polygons, is not installed.
        RemoteFileError: A server doesn't answer, or has no such file.
        NoSpaceError: The disk is full; the next run resumes.
        SceneError: The rasters don't fit together or to the network, or an option is out of
            range; the message names the option to set.
    """
    inferencer = SCDInferencer() if inferencer is None else inferencer
    return prediction.predict_scene(inferencer, before, after, out, **options)
