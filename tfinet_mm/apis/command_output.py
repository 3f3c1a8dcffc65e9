"""Which pairs ``tfinet-predict`` works on, and the folder that it writes to."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfinet_mm.apis.result import SCDResult
from tfinet_mm.datasets.file_index import list_folder, match_folders
from tfinet_mm.files import sample_file, whole_file
from tfinet_mm.pseudo_labels.manifest import differences
from tfinet_mm.scenes.results import SCENE_FILE
from tfinet_mm.structures import ClassTable
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.visualization import write_palette_png, write_png

RASTER_SUFFIXES = ('.tif', '.tiff', '.vrt', '.jp2', '.img')
SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', *RASTER_SUFFIXES)
# Of pictures. The last one is written last: where it is, the pair is finished.
FOLDERS = ('label1', 'label2', 'change_prob')
MANIFEST_FILE = 'manifest.json'
MANIFEST_VERSION = 1
# Settings that only pairs of this kind have.
SECTIONS = ('picture', 'scene')
# Differences that an error lists before it only counts.
SHOWN = 6


class Pair(NamedTuple):
    """Two images of one place.

    Attributes:
        name: What the results are called; with slashes between sub-folders.
        kind: 'picture' or 'scene'.
        before: File of the first date.
        after: File of the second.
    """

    name: str
    kind: str
    before: str
    after: str

    def is_finished(self, out: Path) -> bool:
        """Whether all its results are in a folder."""
        return self._last_file(out).is_file()

    def forget(self, out: Path) -> None:
        """Let it count as not predicted."""
        self._last_file(out).unlink(missing_ok=True)

    def _last_file(self, out: Path) -> Path:
        if self.kind == 'scene':
            return sample_file(out, self.name, '') / SCENE_FILE
        return sample_file(out / FOLDERS[-1], self.name, '.png')


def list_pairs(before: str, after: str, kind: str | None = None) -> list[Pair]:
    """All pairs of two files, or of two folders.

    Args:
        before: A file, or a folder.
        after: The same of the second date; files in folders match by their names.
        kind: 'picture' or 'scene'; by default pairs of which one file is
            georeferenced are scenes.

    Raises:
        FileNotFoundError: One isn't there.
        ValueError: One is a file and one a folder, both are the same, or a scene
            has a reserved name.
        UnmatchedPairError: A file has no partner.
    """
    folders = [Path(path).is_dir() for path in (before, after)]
    if folders[0] != folders[1]:
        raise ValueError(f'give two images or two folders, got {before} and {after}')
    if folders[0]:
        if os.path.realpath(before) == os.path.realpath(after):
            raise ValueError(f'before and after are the same folder, {before}; give two folders')
        files = {'before': list_folder(before, SUFFIXES), 'after': list_folder(after, SUFFIXES)}
        found = [(pair['name'], pair['before'], pair['after']) for pair in match_folders(files)]
    else:
        for path in (before, after):
            if not Path(path).is_file():
                raise FileNotFoundError(f'there is no file {path}')
        found = [(Path(before).stem, before, after)]
    pairs = []
    for name, *paths in found:
        is_scene = kind == 'scene' or (kind is None and any(map(is_georeferenced, paths)))
        if is_scene and name.split('/')[0] in FOLDERS:
            raise ValueError(
                f'the scene {name} would be written into the folder {name.split("/")[0]}, which is '
                'for the maps of pictures; rename its files'
            )
        if os.path.realpath(paths[0]) == os.path.realpath(paths[1]):
            raise ValueError(
                f'before and after are the same file, {paths[0]}; give images of two dates'
            )
        absolute = map(os.path.abspath, paths)
        pairs.append(Pair(name, 'scene' if is_scene else 'picture', *absolute))
    return pairs


def is_georeferenced(path: str) -> bool:
    """Whether a raster file has a CRS, or a transform to coordinates.

    Files that rasterio can't read are not, so that reading them as a picture
    says what is wrong.
    """
    if not path.lower().endswith(RASTER_SUFFIXES):
        return False
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ImportError:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                return bool(raster.crs) or not raster.transform.is_identity
    except RasterioError:
        return False


def write_result(out: Path, name: str, result: SCDResult) -> None:
    """Write the label of each date and P(changed), each file whole or not at all."""
    for folder, labels in zip(FOLDERS, (result.semantic_from, result.semantic_to), strict=False):
        write_palette_png(sample_file(out / folder, name, '.png'), labels, result.palette)
    prob = np.round(result.change_prob.clip(0, 1) * 255).astype(np.uint8)
    write_png(sample_file(out / FOLDERS[2], name, '.png'), prob)


def claim_folder(
    out: Path,
    pairs: Sequence[Pair],
    table: ClassTable,
    settings: Mapping[str, Any],
    overwrite: bool = False,
) -> list[Pair]:
    """Write the folder's manifest, if these pairs can be added to what is there.

    Args:
        out: The folder; it needn't be there.
        pairs: Those to predict, or predicted already.
        table: The classes.
        settings: What decides about the results, as JSON can hold it;
            ``picture`` and ``scene`` are of that kind alone.
        overwrite: Take none of the pairs for finished, whatever made them.

    Returns:
        The pairs that aren't finished.

    Raises:
        ValueError: Finished pairs were made with other settings, or from
            other files of the same name; the message says what differs.
    """
    found = _read(out)
    wanted: dict[str, Any] = json.loads(json.dumps(settings))
    others = [Pair(*(one[key] for key in Pair._fields)) for one in found.get('pairs', ())]
    by_name = {pair.name: pair for pair in others}
    if overwrite:
        for pair in pairs:
            pair.forget(out)
    elif not found and any(pair.is_finished(out) for pair in pairs):
        raise ValueError(
            f'{out} holds results, and no {MANIFEST_FILE} says how they were made; choose another '
            'folder (--out), or replace them (--overwrite)'
        )
    for pair in pairs:
        old = by_name.get(pair.name, pair)
        if old != pair and old.is_finished(out):
            if not overwrite:
                raise ValueError(
                    f'{out} holds results named {pair.name} of the {old.kind} {old.before} and '
                    f'{old.after}, now it is the {pair.kind} {pair.before} and {pair.after}; '
                    'choose another folder (--out), or replace them (--overwrite)'
                )
            old.forget(out)
    names = {pair.name for pair in pairs}
    kept = [pair for pair in others if pair.name not in names and pair.is_finished(out)]
    changed = _changes(found.get('settings', wanted), wanted)
    if changed:
        made = [*kept, *(pair for pair in pairs if pair.is_finished(out))]
        if made and not overwrite:
            more = f'; and {len(changed) - SHOWN} more' if len(changed) > SHOWN else ''
            raise ValueError(
                f'{out} holds results that were made in another way: '
                f'{"; ".join(changed[:SHOWN])}{more}. Choose another folder (--out), or replace '
                'them (--overwrite)'
            )
        kept = []
    elif found:
        sections = {key: value for key, value in found['settings'].items() if key in SECTIONS}
        wanted = sections | wanted
    manifest = dict(
        version=MANIFEST_VERSION,
        class_names=list(table.names),
        palette=[list(colour) for colour in table.palette],
        threshold=wanted['threshold'],
        settings=wanted,
        pairs=[pair._asdict() for pair in (*kept, *pairs)],
    )
    with whole_file(out / MANIFEST_FILE) as partial:
        partial.write_text(json_text(manifest) + '\n', encoding='utf-8')
    return [pair for pair in pairs if not pair.is_finished(out)]


def _read(out: Path) -> dict[str, Any]:
    """The manifest of a folder; empty where it has none."""
    path = out / MANIFEST_FILE
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
        if found['version'] == MANIFEST_VERSION and found['settings'] and found['pairs']:
            return found
    except (ValueError, TypeError, KeyError):
        pass
    raise ValueError(f'{path} is not what this tool writes; choose another folder (--out)')


def _changes(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What differs, but for what is of a kind of pairs that only one of the two has."""
    sections = {key for key in SECTIONS if (key in found) != (key in wanted)}
    first, second = (
        {key: value for key, value in one.items() if key not in sections} for one in (found, wanted)
    )
    return list(differences(first, second))
