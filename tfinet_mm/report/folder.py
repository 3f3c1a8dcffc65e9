"""Read a folder that ``tools/predict.py`` wrote: pairs and scenes with a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfinet_mm.errors import ImageFormatError, MissingExtraError, ReportError
from tfinet_mm.io.images import read_image
from tfinet_mm.report.records import (
    PICTURE,
    SCENE,
    PairSummary,
    PairView,
    ReportData,
    SeriesTotals,
)
from tfinet_mm.report.statistics import count_probabilities, count_transitions
from tfinet_mm.structures import ClassTable
from tfinet_mm.utils.files import sample_file
from tfinet_mm.visualization.overlay import display_image

MANIFEST = 'manifest.json'
SERIES_FILE = 'series.json'
FOLDERS = ('label1', 'label2', 'change_prob')


def read_folder(out: str | Path) -> ReportData:
    """Read the manifest of a folder and count every pair that is finished.

    Args:
        out: Folder that ``tools/predict.py`` wrote to, or that of one scene.

    Returns:
        The data of a report. The maps are read once more when they are shown, so
        memory holds one pair at a time.

    Raises:
        FileNotFoundError: There is no such folder, or no manifest in it.
        ReportError: The manifest is damaged, of another version, or lists no
            finished pair; or a map doesn't fit the manifest.
        MissingExtraError: A scene needs rasterio to be read.
    """
    out = Path(out)
    manifest = _read_manifest(out)
    if manifest.get('of_scene'):
        out = out.absolute().parent
    table = ClassTable(tuple(manifest['class_names']), tuple(manifest['palette']))
    summaries: list[PairSummary] = []
    sources: list[Mapping[str, Any]] = []
    unfinished: list[str] = []
    for pair in manifest['pairs']:
        summary = _summary(out, pair, table)
        if summary is None:
            unfinished.append(str(pair['name']))
        else:
            summaries.append(summary)
            sources.append(pair)
    if not summaries:
        raise ReportError(
            f'none of the {len(unfinished)} pairs that {out / MANIFEST} lists is finished; run '
            'tools/predict.py to its end first'
        )

    def view(place: int, max_side: int, max_polygons: int) -> PairView:
        pair = sources[place]
        if pair['kind'] == SCENE:
            # Imported here, so that pictures need no rasterio.
            from tfinet_mm.report.scene import scene_view

            folder = sample_file(out, pair['name'], '')
            return scene_view(folder, table, max_side, max_polygons)
        return _picture_view(out, pair, manifest)

    return ReportData(
        table,
        summaries,
        view,
        threshold=manifest.get('threshold'),
        settings=manifest.get('settings') or {},
        unfinished=unfinished,
        series=_series(out) if not manifest.get('of_scene') else None,
    )


def _read_manifest(out: Path) -> dict[str, Any]:
    path = out / MANIFEST
    if not path.is_file() and (out / 'scene.json').is_file():
        return _manifest_of_scene(out)
    if not path.is_file():
        raise FileNotFoundError(
            f'{out} has no {MANIFEST}; expected a folder that tools/predict.py wrote to, '
            'or the folder of a scene'
        )
    try:
        manifest = json.loads(path.read_text(encoding='utf-8'))
        version = manifest['version']
        pairs = [(pair['name'], pair['kind']) for pair in manifest['pairs']]
        missing = {'class_names', 'palette'} - set(manifest)
    except (ValueError, KeyError, TypeError) as error:
        raise ReportError(
            f'{path} can not be read ({error!r}); is it damaged? Run tools/predict.py again'
        ) from error
    unknown = sorted({str(kind) for _, kind in pairs} - {PICTURE, SCENE})
    if version != 1 or missing or unknown:
        raise ReportError(
            f'{path} is of version {version} with {len(pairs)} pairs of the kinds '
            f'{sorted({str(kind) for _, kind in pairs})}, lacking {sorted(missing)}; expected '
            f'version 1 with class_names and palette, and the kinds {PICTURE} and {SCENE}'
        )
    return manifest


def _series(out: Path) -> SeriesTotals | None:
    """Return the totals of a series, None where the folder is of other pairs."""
    if not (out / SERIES_FILE).is_file():
        return None
    from tfinet_mm.report.series import series_totals

    return series_totals(out)


def _manifest_of_scene(folder: Path) -> dict[str, Any]:
    """Return what a manifest says, of a scene that stands alone, such as one finished again."""
    from tfinet_mm.scenes.results import SceneResults

    results = SceneResults(folder)
    return dict(
        of_scene=True,
        class_names=results.classes.names,
        palette=results.classes.palette,
        threshold=results.scene.get('threshold'),
        settings=results.scene.get('settings'),
        pairs=[dict(name=folder.absolute().name, kind=SCENE)],
    )


def _summary(out: Path, pair: Mapping[str, Any], table: ClassTable) -> PairSummary | None:
    """Return the numbers of a pair, None if it isn't finished."""
    name = str(pair['name'])
    if pair['kind'] == SCENE:
        folder = sample_file(out, name, '')
        if not (folder / 'scene.json').is_file():
            return None
        from tfinet_mm.report.scene import scene_summary

        return scene_summary(folder, name, table)
    files = _picture_files(out, name)
    # The file in the last folder is written last.
    if not all(file.is_file() for file in files):
        return None
    labels_from, labels_to, probability = _picture_maps(files, table)
    matrix, unchanged, nodata = count_transitions(labels_from, labels_to, table.num_classes)
    height, width = labels_from.shape
    return PairSummary(
        name,
        PICTURE,
        (width, height),
        matrix,
        unchanged,
        nodata,
        histogram=count_probabilities(probability),
    )


def _picture_files(out: Path, name: str) -> list[Path]:
    return [sample_file(out / folder, name, '.png') for folder in FOLDERS]


def _picture_maps(
    files: Sequence[Path], table: ClassTable
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the classes before and after, uint8, and P(changed), float32, all of one size."""
    maps = []
    for file, mode in zip(files, ('P', 'P', 'L'), strict=True):
        with Image.open(file) as image:
            if image.mode != mode:
                raise ReportError(
                    f'{file} is an image of mode {image.mode}, expected {mode}: label maps are '
                    'palette PNG, probabilities grey ones, as tools/predict.py writes them'
                )
            maps.append(np.asarray(image))
    if len({one.shape for one in maps}) > 1:
        raise ReportError(
            f'{files[0]} and the maps of its name in the other folders differ in size: '
            f'{[one.shape for one in maps]}; predict the pair again with --overwrite'
        )
    for file, labels in zip(files[:2], maps, strict=False):
        if labels.max(initial=0) > table.num_classes:
            raise ReportError(
                f'{file} holds class {labels.max()}, the manifest has 0 to {table.num_classes}; '
                'predict the pair again with --overwrite'
            )
    return maps[0], maps[1], maps[2].astype(np.float32) / 255


def _picture_view(out: Path, pair: Mapping[str, Any], manifest: Mapping[str, Any]) -> PairView:
    table = ClassTable(tuple(manifest['class_names']), tuple(manifest['palette']))
    settings = manifest.get('settings') or {}
    bands = {**settings, **(settings.get(PICTURE) or {})}.get('bands')
    maps = _picture_maps(_picture_files(out, str(pair['name'])), table)
    before, after = (shown_image(pair[date], bands) for date in ('before', 'after'))
    return PairView(before, after, *maps)


def shown_image(
    path: str | Path,
    bands: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
) -> np.ndarray | None:
    """Return an image of a pair for viewing, (H, W, 3) uint8, None where it can't be read.

    Args:
        path: The file.
        bands: Bands that the network read; the first three are shown.
        window: Part of the file (left, top, width, height).
    """
    for numbers in [list(bands)[:3]] if bands else [None, [1, 2, 3], [1]]:
        try:
            return display_image(read_image(path, numbers, window))
        except ImageFormatError:
            continue
        except (OSError, MissingExtraError):
            return None
    return None
