"""List the files that a job makes, by their known names."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfinet_mm.apis.command_output import FOLDERS

PAIR = 'before'
"""Name of the only pair of a job, from the name that its first file is stored under."""
REPORT = 'report.html'
RASTERS = dict(
    change='changed pixels',
    change_prob='P(changed)',
    land_cover_from='land cover before, of changed pixels',
    land_cover_to='land cover after, of changed pixels',
    transition='from-to transitions',
    valid='pixels that are seen',
    probabilities='probabilities of the likeliest classes',
)
OTHERS = {
    'changes.gpkg': 'polygons of the changes',
    'registration.gpkg': 'shift between the dates',
    'areas.csv': 'areas from class to class',
    'totals.csv': 'areas of the classes on both dates',
    'areas.json': 'areas, as JSON',
    'scene.json': 'settings and inputs',
    'before.jpg': 'small picture of before',
    'after.jpg': 'small picture of after',
}
PICTURES = dict(
    zip(FOLDERS, ('land cover before', 'land cover after', 'P(changed), 0 to 255'), strict=True)
)
PRODUCTS: dict[str, str] = {
    REPORT: 'the report',
    **{f'{PAIR}/{name}.tif': content for name, content in RASTERS.items()},
    **{f'{PAIR}/{name}': content for name, content in OTHERS.items()},
    **{f'{folder}/{PAIR}.png': content for folder, content in PICTURES.items()},
    **{f'{PAIR}/{name}.qml': f'style of {name}.tif' for name in RASTERS},
    **{f'{PAIR}/{name}.tif.aux.xml': f'names of the values of {name}.tif' for name in RASTERS},
}
"""Content of each file that can be downloaded, by its path below the folder of the results."""
PIECE = 1 << 18


def list_products(folder: Path) -> dict[str, int]:
    """Return the bytes of each known file of the results in a folder."""
    return {
        name: (folder / name).stat().st_size
        for name in PRODUCTS
        if (folder / name).is_file() and not (folder / name).is_symlink()
    }


def zipped(folder: Path, names: Sequence[str]) -> Iterator[bytes]:
    """Yield a zip file of products piece by piece, without writing it to the disk.

    The files are stored as they are, since nearly all are compressed already.

    Args:
        folder: Folder of the results.
        names: Names of products in it.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, 'w', zipfile.ZIP_STORED) as archive:
        for name in names:
            path = folder / name
            entry = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
            with path.open('rb') as source, archive.open(entry, 'w') as target:
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield pipe.taken()
            yield pipe.taken()
    yield pipe.taken()


class _Pipe:
    """File without a place, whose bytes are taken out as they are written."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing, since nothing is held back."""

    def close(self) -> None:
        """Do nothing, since nothing is open."""

    def taken(self) -> bytes:
        data, self._pieces = b''.join(self._pieces), []
        return data
