"""List the pairs of ``tfinet-predict``, and keep the folder that it writes to."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfinet_mm.apis.command_table import is_table, read_table, row_names
from tfinet_mm.apis.result import SCDResult
from tfinet_mm.datasets.file_index import list_folder, match_folders
from tfinet_mm.errors import ManifestError, MissingExtraError
from tfinet_mm.scenes import results
from tfinet_mm.scenes.quality import QualitySource, quality_source
from tfinet_mm.scenes.reader import input_files
from tfinet_mm.scenes.sources import unusual_place
from tfinet_mm.structures import ClassTable
from tfinet_mm.utils.files import sample_file
from tfinet_mm.utils.fingerprints import ORIGIN, fingerprints, joined, try_fingerprints
from tfinet_mm.utils.manifest import FIX, RunManifest, plain
from tfinet_mm.utils.places import absolute, gdal_path, is_virtual, one_file, opening, stem
from tfinet_mm.visualization import write_palette_png, write_png

RASTER_SUFFIXES = ('.tif', '.tiff', '.vrt', '.jp2', '.img')
PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')
SUFFIXES = (*PICTURE_SUFFIXES, *RASTER_SUFFIXES)
# Folders of pictures. The file in the last one is written last, when the pair is finished.
FOLDERS = ('label1', 'label2', 'change_prob')
MANIFEST_FILE = 'manifest.json'
MANIFEST_VERSION = 1
# Kinds of pairs with settings that the other kind doesn't have.
SECTIONS = ('picture', 'scene')


class Pair(NamedTuple):
    """Two images of one place.

    Attributes:
        name: Name of the results, with slashes between sub-folders.
        kind: 'picture' or 'scene'.
        before: File of the first date.
        after: File of the second.
        quality_before: Quality band of the first date that a table gives, a file or
            ``FILE:BAND``; empty where its cell is, None without such a column.
        quality_after: The same of the second.
    """

    name: str
    kind: str
    before: str
    after: str
    quality_before: str | None = None
    quality_after: str | None = None

    @property
    def quality(self) -> dict[str, QualitySource]:
        """Return the quality band of each date that has one in a table."""
        given = dict(before=self.quality_before, after=self.quality_after)
        return {date: quality_source(one) for date, one in given.items() if one}

    def files(self) -> dict[str, str]:
        """Return its images and quality bands, by their columns in a table."""
        bands = {f'quality_{date}': os.fspath(one.path) for date, one in self.quality.items()}
        return dict(before=self.before, after=self.after) | bands

    def entry(self) -> dict[str, str]:
        """Return its fields for a manifest, without those that it doesn't have."""
        return {key: value for key, value in self._asdict().items() if value}

    @classmethod
    def listed(cls, entry: Mapping[str, str]) -> Pair:
        """Return the pair of an entry in a manifest."""
        return cls(
            name=entry['name'],
            kind=entry['kind'],
            before=entry['before'],
            after=entry['after'],
            quality_before=entry.get('quality_before'),
            quality_after=entry.get('quality_after'),
        )

    def is_finished(self, out: Path) -> bool:
        """Return whether all its results are in a folder."""
        if self.kind == 'scene':
            return results.is_finished(sample_file(out, self.name, ''))
        return all(sample_file(out / folder, self.name, '.png').is_file() for folder in FOLDERS)

    def forget(self, out: Path) -> None:
        """Mark it as not predicted."""
        if self.kind == 'scene':
            path = sample_file(out, self.name, '') / results.SCENE_FILE
        else:
            path = sample_file(out / FOLDERS[-1], self.name, '.png')
        path.unlink(missing_ok=True)


ADVICE = (
    'Both folders need files of the same names; add the missing ones, or remove the differing part '
    "of the names with --key-pattern, for example '_(pre|post)_disaster'"
)


def list_pairs(
    before: str,
    after: str,
    kind: str | None = None,
    key_pattern: str | None = None,
    known: Mapping[tuple[str, str], str] | None = None,
    out: Path | None = None,
) -> list[Pair]:
    """List all pairs of two files, of two folders, or of a table.

    Files may be in zip files and at addresses, see :mod:`tfinet_mm.utils.places`. Images of folders
    and tables that can't be read are listed all the same; :func:`read_inputs` tells of them.

    Args:
        before: A file, a folder, or a CSV file with the columns ``before``, ``after`` and
            optionally ``name``, ``quality_before`` and ``quality_after``, whose paths are
            relative to its folder.
        after: The same of the second date; files in folders match by their names. Empty if
            ``before`` is a table.
        kind: 'picture' or 'scene'; by default pairs of which one file is
            georeferenced are scenes.
        key_pattern: Regular expression of the part to remove from the names of files
            in folders before they are matched.
        known: Names that pairs of a table have already, by the absolute paths of both images.
        out: Folder of the results, whose files are no images where it lies in a folder of images.

    Raises:
        FileNotFoundError: A file or a folder isn't there, or none of those in a table is.
        ValueError: One is a file and one a folder, both are the same (but in a table), a scene has
            a reserved name, a table is empty, lacks a column or has a name twice, or a zip file
            holds several rasters and none is named.
        UnmatchedPairError: A file has no partner.
    """
    folders = [Path(path).is_dir() for path in (before, after)]
    bands: list[tuple[str | None, str | None]] | None = None
    if is_table(before):
        rows = read_table(Path(before))
        names = row_names(rows, known or {})
        found = [(name, row.before, row.after) for name, row in zip(names, rows, strict=True)]
        bands = [row.quality for row in rows]
        lost = [_first_missing(row.before, row.after) for row in rows]
        if all(lost):
            raise FileNotFoundError(
                f'there is no file {lost[0]}, line {rows[0].line} of {before}; paths are relative '
                'to the folder of the table'
            )
    elif folders[0] != folders[1]:
        raise ValueError(f'give two images or two folders, got {before} and {after}')
    elif folders[0]:
        if os.path.realpath(before) == os.path.realpath(after):
            raise ValueError(f'before and after are the same folder, {before}; give two folders')
        files = {'before': _images(before, out), 'after': _images(after, out)}
        matched = match_folders(files, key_pattern, advice=ADVICE)
        found = [(pair['name'], pair['before'], pair['after']) for pair in matched]
    else:
        missing = _first_missing(before, after)
        if missing is not None:
            raise FileNotFoundError(f'there is no file {missing}')
        before, after = (one_file(path, SUFFIXES) for path in (before, after))
        found = [(stem(before), before, after)]
    pairs = []
    for (name, *paths), quality in zip(found, bands or [(None, None)] * len(found), strict=True):
        # One line of a table fails alone, see same_files.
        if bands is None and _real(paths[0]) == _real(paths[1]):
            raise _same_file(paths[0])
        pairs.append(Pair(name, kind or '', *map(_only_file, paths), *map(_only_band, quality)))
    return _with_kinds(pairs)


def same_files(pairs: Sequence[Pair]) -> dict[Pair, Exception]:
    """Return the error of each pair of a table whose before and after are one file."""
    return {
        pair: _same_file(pair.before) for pair in pairs if _real(pair.before) == _real(pair.after)
    }


def _same_file(path: str) -> ValueError:
    return ValueError(f'before and after are the same file, {path}; give images of two dates')


def _images(folder: str, out: Path | None) -> Mapping[str, str]:
    """Return the images of a folder by name, without results that a run writes into it."""
    if out is not None and os.path.realpath(folder) == os.path.realpath(out):
        raise ValueError(
            f'--out is {out}, the folder of the images, where the next run would read results as '
            'images; choose another folder'
        )
    return list_folder(folder, SUFFIXES, out)


def _first_missing(*paths: str) -> str | None:
    """Return the first path that isn't there, as far as this can be told without reading."""
    return next((one for one in paths if not (is_virtual(one) or os.path.isfile(one))), None)


def _real(path: str) -> str:
    return absolute(path) if is_virtual(path) else os.path.realpath(path)


def _only_file(path: str) -> str:
    """Return the only raster of a zip file; one that is damaged is reported once it is read."""
    with suppress(ValueError):
        return one_file(path, SUFFIXES)
    return absolute(path)


def _only_band(place: str | None) -> str | None:
    """Return the absolute place of a quality band in a table, as :func:`_only_file` does."""
    if not place:
        return place
    path, band = quality_source(place)
    file = _only_file(os.fspath(path))
    return file if band is None else f'{file}:{band}'


def _with_kinds(pairs: Sequence[Pair]) -> list[Pair]:
    """Return pairs with their kinds; one that can't be read is of the kind of the others."""
    placed = [
        pair.kind == 'scene' if pair.kind else _are_georeferenced(pair.before, pair.after)
        for pair in pairs
    ]
    default = any(placed)
    kinds = ['scene' if (default if one is None else one) else 'picture' for one in placed]
    for pair, kind in zip(pairs, kinds, strict=True):
        if kind == 'scene' and pair.name.split('/')[0] in FOLDERS:
            raise ValueError(
                f'the scene {pair.name} would be written into the folder '
                f'{pair.name.split("/")[0]}, which is for the maps of pictures; rename its files'
            )
    return [pair._replace(kind=kind) for pair, kind in zip(pairs, kinds, strict=True)]


def _are_georeferenced(*paths: str) -> bool | None:
    """Return whether any of the files is; None where none is and one can't be read."""
    found = [_georeferenced(path) for path in paths]
    return True if True in found else None if None in found else False


def is_georeferenced(path: str) -> bool:
    """Return whether a file is placed on the ground, by itself or by a file beside it.

    A CRS, a transform to coordinates and control points (GCPs, RPCs) count; PNG and
    other pictures have them in a world file (``.pgw``) or in GDAL's ``.aux.xml``.

    The answer is False for files that rasterio can't read, so that reading them
    as pictures reports the fault.
    """
    return bool(_georeferenced(path))


def _georeferenced(path: str) -> bool | None:
    """Return whether a file is placed on the ground; None for one that can't be read."""
    # Rasters have many more endings, such as those of ENVI, netCDF and GeoPackage.
    may_be = is_virtual(path) or not path.lower().endswith(PICTURE_SUFFIXES)
    beside = None if may_be else _place_file(path)
    if beside is None and not may_be:
        return None if _first_missing(path) else False
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ImportError as error:
        if beside is None:
            return False
        raise MissingExtraError(
            f'{beside} places {path} on the ground, which needs rasterio: pip install '
            '"tfinet-mm[geo]"; or predict plain pictures with --input-type picture'
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with opening(path), rasterio.open(gdal_path(path)) as raster:
                placed = bool(raster.crs) or not raster.transform.is_identity
                return placed or unusual_place(raster) is not None
    except RasterioError:
        return None


def _place_file(path: str) -> str | None:
    """Return the file beside a picture that places it: a world file, or ``.aux.xml``.

    World files of PNG are ``.pgw``, ``.pngw`` or ``.wld``, those of others accordingly.
    """
    stem, suffix = os.path.splitext(path)
    letters = suffix[1:]
    endings = (f'.{letters[0]}{letters[-1]}w', f'{suffix}w', '.wld') if letters else ()
    names = [stem + change(ending) for ending in endings for change in (str.lower, str.upper)]
    return next((name for name in (*names, f'{path}.aux.xml') if os.path.isfile(name)), None)


def write_result(out: Path, name: str, result: SCDResult) -> None:
    """Write files with the label of each date and with P(changed), each complete or not at all."""
    for folder, labels in zip(FOLDERS, (result.semantic_from, result.semantic_to), strict=False):
        write_palette_png(sample_file(out / folder, name, '.png'), labels, result.palette)
    prob = np.round(result.change_prob.clip(0, 1) * 255).astype(np.uint8)
    write_png(sample_file(out / FOLDERS[2], name, '.png'), prob)


def folder_manifest(out: Path) -> RunManifest:
    """Return the manifest of a folder that the command writes to."""
    return RunManifest(out, MANIFEST_FILE, informative=ORIGIN)


def claim_folder(
    run: RunManifest,
    pairs: Sequence[Pair],
    table: ClassTable,
    settings: Mapping[str, Any],
    overwrite: bool = False,
    entries: Mapping[str, dict[str, Any]] | None = None,
) -> list[Pair]:
    """Lock a folder and write its manifest, if these pairs can be added to its results.

    Args:
        run: The folder's manifest; the folder needn't be there. It may be read-only where
            all pairs are finished.
        pairs: Those to predict, or predicted already.
        table: The classes.
        settings: Everything that the results depend on, as values of JSON;
            those under ``picture`` and ``scene`` are for that kind alone.
        overwrite: Count none of the pairs as finished.
        entries: Contents of the images, see :func:`read_inputs`.

    Returns:
        The pairs that aren't finished.

    Raises:
        ManifestError: Finished pairs were made with other settings, or from
            images of other content; the message lists the differences.
        FolderInUseError: Another run is writing to the folder.
    """
    run.recall()
    entries = _inputs(pairs) if entries is None else entries
    claim = _claim(run, pairs, entries, settings, overwrite)
    # A folder where all is finished needs no new manifest, and may be read-only.
    with suppress(*(() if claim.todo else (OSError,))):
        run.lock()
        # Another run may have added pairs before the lock.
        claim = _claim(run, pairs, entries, settings, overwrite)
        for pair in claim.outdated:
            pair.forget(run.folder)
        run.write(
            dict(
                version=MANIFEST_VERSION,
                class_names=list(table.names),
                palette=[list(colour) for colour in table.palette],
                threshold=claim.settings['threshold'],
                settings=claim.settings,
                pairs=[pair.entry() for pair in claim.pairs],
                inputs=claim.inputs,
            )
        )
    return claim.todo


def unfinished_pairs(
    run: RunManifest,
    pairs: Sequence[Pair],
    settings: Mapping[str, Any],
    overwrite: bool = False,
    entries: Mapping[str, dict[str, Any]] | None = None,
) -> list[Pair]:
    """Return the pairs that :func:`claim_folder` would leave to predict; nothing is written.

    Raises:
        ManifestError: As there.
    """
    run.recall()
    entries = _inputs(pairs) if entries is None else entries
    return _claim(run, pairs, entries, settings, overwrite).todo


def check_claim(run: RunManifest, pair: Pair, settings: Mapping[str, Any]) -> None:
    """Refuse to predict a pair for a folder that is claimed, if it is claimed for something else.

    Raises:
        ManifestError: The folder's manifest has other settings, lacks the pair, or has it with
            images of other content.
    """
    run.recall()
    found = _read(run, overwrite=False)
    before, now = _comparable(found.get('settings', {}), plain(settings))
    listed = map(Pair.listed, found.get('pairs', ()))
    claimed = [one for one in listed if one.name == pair.name]
    before['pairs'] = _made(claimed, _entries(found.get('inputs', ())))
    now['pairs'] = _made([pair], _inputs([pair]))
    run.check(before, now)


class _Claim(NamedTuple):
    """Content that a folder is about to get.

    Attributes:
        todo: The pairs to predict.
        outdated: Pairs that may have outdated results there.
        pairs: All pairs, those of earlier runs first.
        settings: Settings of all pairs.
        inputs: Their files.
    """

    todo: list[Pair]
    outdated: list[Pair]
    pairs: list[Pair]
    settings: dict[str, Any]
    inputs: list[dict[str, Any]]


def _claim(
    run: RunManifest,
    pairs: Sequence[Pair],
    entries: Mapping[str, dict[str, Any]],
    settings: Mapping[str, Any],
    overwrite: bool,
) -> _Claim:
    out, wanted = run.folder, plain(settings)
    found = _read(run, overwrite)
    old_entries = _entries(found.get('inputs', ()))
    old = {one['name']: Pair.listed(one) for one in found.get('pairs', ())}
    if not (found or overwrite) and any(pair.is_finished(out) for pair in pairs):
        raise ManifestError(
            f'{out} holds results, and no {MANIFEST_FILE} says how they were made; {FIX}'
        )
    names = {pair.name for pair in pairs}
    kept = [one for one in old.values() if one.name not in names and one.is_finished(out)]
    # Results that the manifest doesn't list may be of any settings.
    again = [] if overwrite else [pair for pair in pairs if pair.name in old]
    again = [pair for pair in again if old[pair.name].is_finished(out)]
    before, now = _comparable(found.get('settings', {}), wanted)
    same = not run.differences(before, now)
    if not overwrite and (kept or again):
        before['pairs'] = _made((old[pair.name] for pair in again), old_entries)
        now['pairs'] = _made(again, entries)
        run.check(before, now)
    if same:
        wanted = {
            key: found['settings'][key] for key in SECTIONS if key in found['settings']
        } | wanted
    else:
        kept = []
    finished = set(again)
    todo = [pair for pair in pairs if pair not in finished]
    # A scene that lost a file keeps its settings, and can make most files without a network.
    outdated = [pair for pair in todo if overwrite or pair.kind == 'picture']
    listed = [(pair, old[pair.name]) for pair in todo if pair.name in old]
    outdated += [one for pair, one in listed if overwrite or one.kind != pair.kind]
    made = [*kept, *pairs]
    known = {**old_entries, **entries}
    paths = dict.fromkeys(path for pair in made for path in pair.files().values())
    return _Claim(
        todo,
        outdated,
        pairs=made,
        settings=wanted,
        inputs=[known[path] for path in paths if path in known],
    )


def known_names(run: RunManifest) -> dict[tuple[str, str], str]:
    """Return the names of the pairs in a folder's manifest, by the paths of both images."""
    with suppress(ManifestError):
        pairs = (run.read() or {}).get('pairs', ())
        return {(one['before'], one['after']): one['name'] for one in pairs}
    return {}


def read_inputs(
    run: RunManifest, pairs: Sequence[Pair]
) -> tuple[dict[str, dict[str, Any]], dict[Pair, Exception]]:
    """Read the contents of all images and quality bands, for :func:`claim_folder`.

    Args:
        run: The folder's manifest, which knows those of untouched files.
        pairs: The pairs.

    Returns:
        The entry of each file by its path, and the error of each pair of which one can't be read.
    """
    run.recall()
    parts = _parts(pairs)
    paths = list(dict.fromkeys(one for files in parts.values() for one in files))
    found = dict(zip(paths, try_fingerprints(paths), strict=True))
    entries: dict[str, dict[str, Any]] = {}
    errors: dict[str, Exception] = {}
    for path, files in parts.items():
        made: list[dict[str, Any]] = []
        for one in files:
            entry = found[one]
            if isinstance(entry, FileNotFoundError) and entry.filename is not None:
                errors.setdefault(path, FileNotFoundError(f'there is no file {one}'))
            elif isinstance(entry, Exception):
                errors.setdefault(path, entry)
            else:
                made.append(entry)
        if path not in errors:
            entries[path] = joined(made)
    bad: dict[Pair, Exception] = {}
    for pair in pairs:
        for column, path in pair.files().items():
            error = errors.get(path)
            if isinstance(error, FileNotFoundError) and column.startswith('quality'):
                error = FileNotFoundError(f'{column}: {error}')
            if error is not None:
                bad.setdefault(pair, error)
    return entries, bad


def _inputs(pairs: Sequence[Pair]) -> dict[str, dict[str, Any]]:
    """Return the contents of images and of the parts of mosaics, by the image's path."""
    files = _parts(pairs)
    entries = _entries(
        fingerprints(dict.fromkeys(one for parts in files.values() for one in parts))
    )
    return {path: joined([entries[one] for one in parts]) for path, parts in files.items()}


def _parts(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Return the files of each image: of a mosaic also those that it names."""
    return {
        # A file that isn't there has no parts, and is reported when it is hashed.
        path: (input_files(path) if pair.kind == 'scene' else []) or [path]
        for pair in pairs
        for path in pair.files().values()
    }


def _entries(found: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return entries of files by their paths."""
    return {entry['file']: entry for entry in found}


def _made(pairs: Iterable[Pair], entries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the inputs of pairs, for a comparison."""
    made = {}
    for pair in pairs:
        files: dict[str, Any] = {
            column: entries.get(path, path) for column, path in pair.files().items()
        }
        bands = {f'band_{date}': one.band for date, one in pair.quality.items() if one.band}
        made[pair.name] = dict(kind=pair.kind) | files | bands
    return made


def _read(run: RunManifest, overwrite: bool) -> dict[str, Any]:
    """Read the manifest of a folder; empty without one, or if a damaged one is replaced."""
    try:
        found = run.read(('version', 'settings', 'pairs'))
    except ManifestError:
        if not overwrite:
            raise
        return {}
    if found and found['version'] != MANIFEST_VERSION:
        raise ManifestError(
            f'{run.path} is of version {found["version"]}, expected {MANIFEST_VERSION}; choose '
            'another folder (--out)'
        )
    return found or {}


def _comparable(
    found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both without the settings of a kind of pairs that only one of them has."""
    sections = {key for key in SECTIONS if (key in found) != (key in wanted)}
    first, second = (
        {key: value for key, value in one.items() if key not in sections} for one in (found, wanted)
    )
    return first, second
