"""Keep the predicted rows of a scene on disk, until they are complete and become the results.

Everything is in one folder: a raw raster for each map with a header that GDAL
reads (ENVI), the settings that they were made with, and for each process the
numbers of the rows of windows that it finished. A number is written after its
rows have reached the disk, so the numbers are true however a run ends.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import ManifestError, SceneError
from tfinet_mm.io.rasters import (
    check_same_size,
    open_raster,
    read_bands,
    read_rows,
    row_blocks,
    write_raw_header,
)
from tfinet_mm.scenes.probabilities import BAND_NAMES, PROBABILITIES
from tfinet_mm.utils.files import naming_file, whole_file
from tfinet_mm.utils.fingerprints import ORIGIN
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.utils.manifest import RunManifest, plain

STAGED = {
    'change_prob': np.float32,
    'land_cover_from': np.uint8,
    'land_cover_to': np.uint8,
    'valid': np.uint8,
}
"""Maps and their types: P(changed), NaN where not seen; land cover 1..K, 0 where not seen; and
the codes of :mod:`tfinet_mm.scenes.validity`."""
SETTINGS_FILE = 'settings.json'


class Staging:
    """Folder of a scene that is being predicted.

    Several processes may write to one folder, each its own rows, after one of
    them has called :meth:`prepare`.

    Args:
        folder: The folder; it needn't be there.
        width: Columns of the scene.
        height: Rows of the scene.
        rank: Number of this process, which names its list of finished rows.
        probabilities: Also keep the bands of :mod:`tfinet_mm.scenes.probabilities`.
    """

    def __init__(
        self,
        folder: str | Path,
        width: int,
        height: int,
        rank: int = 0,
        probabilities: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.width, self.height = width, height
        # Messages name the scene's folder, which the user knows.
        name = f'{self.folder.name}/{SETTINGS_FILE}'
        self.manifest = scene_manifest(self.folder.parent, name)
        self.probabilities = probabilities
        self.kinds = STAGED | ({PROBABILITIES: np.uint8} if probabilities else {})
        self._state = self.folder / f'finished_{rank}.json'
        self._own: set[int] | None = None

    def path(self, name: str) -> Path:
        """Return the raster of one of the maps :data:`STAGED`, readable by GDAL."""
        return self.folder / f'{name}.img'

    def read(self, name: str) -> np.ndarray:
        """Return a map (H, W), mapped into memory and not writable."""
        return np.memmap(self.path(name), STAGED[name], mode='r', shape=(self.height, self.width))

    def prepare(self, settings: Mapping[str, Any]) -> None:
        """Make the folder ready for these settings.

        Maps of the same settings stay. Maps of other settings are replaced where
        no row is finished.

        Args:
            settings: Everything that the maps depend on, as values of JSON.

        Raises:
            ManifestError: Rows of other settings are finished; the message lists
                the differences.
        """
        wanted = plain(settings)
        try:
            found = self.manifest.read()
        except ManifestError:
            # Rows of unknown settings can't be used.
            found = None
        if found is not None and found != wanted and self.finished():
            # No error where only informative values differ, such as the path of a checkpoint.
            self.manifest.check(found, wanted)
            self.manifest.write(wanted)
            found = wanted
        if found == wanted and all(
            self.path(name).is_file() and self.path(name).stat().st_size == self._bytes(name)
            for name in self.kinds
        ):
            return
        self.remove()
        self.folder.mkdir(parents=True)
        for name, kind in self.kinds.items():
            with naming_file(self.path(name)):
                with self.path(name).open('wb') as file:
                    file.truncate(self._bytes(name))
                write_raw_header(
                    self.path(name), np.dtype(kind).name, self.height, self.width, _bands(name)
                )
        self.manifest.write(wanted)

    def _bytes(self, name: str) -> int:
        itemsize = np.dtype(self.kinds[name]).itemsize
        # GDAL doesn't open a file of one byte.
        return max(_bands(name) * self.width * self.height * itemsize, 2)

    def write(self, top: int, maps: Mapping[str, np.ndarray]) -> None:
        """Write rows of all maps, and wait until they are on the disk.

        Args:
            top: The first row.
            maps: (rows, width) for each of :data:`STAGED`, and (rows, bands, width) for the
                probabilities.
        """
        for name, kind in self.kinds.items():
            values = np.ascontiguousarray(maps[name], dtype=kind)
            with naming_file(self.path(name)), self.path(name).open('r+b') as file:
                file.seek(top * _bands(name) * self.width * values.itemsize)
                file.write(values.data)
                file.flush()
                os.fsync(file.fileno())

    def mark(self, *numbers: int) -> None:
        """Note that rows of windows are finished, after :meth:`write` of their maps."""
        if self._own is None:
            self._own = set(_read_json(self._state) or ())
        self._own.update(numbers)
        _write_json(self._state, sorted(self._own))

    def restore(self, folder: Path) -> bool:
        """Write the maps of a scene's results back, to make results again that were lost.

        Args:
            folder: The scene's folder.

        Returns:
            True if the maps are there and complete.
        """
        try:
            with ExitStack() as stack:
                rasters = {
                    name: stack.enter_context(open_raster(folder / f'{name}.tif', _bands(name)))
                    for name in self.kinds
                }
                for name, raster in rasters.items():
                    check_same_size(name, raster, self.height, self.width)
                for top, rows in row_blocks(self.height, self.width):
                    maps = {name: read_rows(one, top, rows) for name, one in rasters.items()}
                    if self.probabilities:
                        stored = read_bands(rasters[PROBABILITIES], top, rows)
                        maps[PROBABILITIES] = stored.swapaxes(0, 1)
                    self.write(top, maps)
        except (OSError, SceneError):
            return False
        return True

    def finished(self) -> set[int]:
        """Return the numbers of the rows of windows that any process finished."""
        lists = (_read_json(path) for path in self.folder.glob('finished_*.json'))
        return {number for numbers in lists for number in numbers or ()}

    def remove(self) -> None:
        """Remove the folder and its content."""
        if self.folder.exists():
            # First the settings, without which the rest isn't used.
            (self.folder / SETTINGS_FILE).unlink(missing_ok=True)
            shutil.rmtree(self.folder)


def scene_manifest(folder: str | Path, name: str) -> RunManifest:
    """Return the manifest of a scene's folder, or of the staging folder in it.

    Raises:
        SceneError: The folder's path has a tabulator or the end of a line.
    """
    if set('\t\n\r') & set(os.fspath(folder)):
        raise SceneError(
            f'the folder {os.fspath(folder)!r} has a tabulator or the end of a line in its path, '
            'and SQLite opens no GeoPackage there; choose another folder (--out), or rename the '
            'images after which it is named'
        )
    # A correction is measured again by each run, with the rounding of its machine.
    informative = (*ORIGIN, 'correction')
    return RunManifest(folder, name, 'predictions', informative=informative)


def _bands(name: str) -> int:
    return len(BAND_NAMES) if name == PROBABILITIES else 1


def _read_json(path: Path) -> Any:
    """Read a file; None where it is missing or unfinished."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):
        return None


def _write_json(path: Path, values: Any) -> None:
    with whole_file(path) as partial:
        partial.write_text(json_text(values), encoding='utf-8')
