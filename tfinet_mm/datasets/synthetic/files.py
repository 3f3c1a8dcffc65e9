"""Write a synthetic data set: complete files, in parallel, resumed where a run stopped."""

from __future__ import annotations

import io
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from tfinet_mm.datasets.synthetic.generate import SyntheticConfig, SyntheticPair, generate_pair
from tfinet_mm.datasets.synthetic.raster import cv2
from tfinet_mm.errors import ManifestError
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.manifest import RunManifest

GENERATOR_VERSION = 2
"""Version of the generator, which rises whenever the same settings give other pictures."""

FOLDERS: dict[str, str] = dict(
    im1='before',
    im2='after',
    label1='label_from',
    label2='label_to',
    cover1='cover_from',
    cover2='cover_to',
)
"""Folders of a split, and the part of a pair that each holds."""

FIRST_INDEX: dict[str, int] = dict(train=0, val=1_000_000)
"""Number of the first pair of each split: a split does not depend on the size of the other."""

META, UNFINISHED = 'meta.json', 'meta.json.part'
FIX = 'choose another folder, remove this one, or ask for the settings it was made with'


def write_dataset(
    root: str | os.PathLike[str],
    num_train: int,
    num_val: int,
    config: SyntheticConfig | None = None,
    workers: int = 1,
) -> int:
    """Write a data set, or the pairs that are missing from it.

    The folder gets ``{train,val}/{im1,im2,label1,label2,cover1,cover2}/NNNNN.png``: RGB
    pictures, palette PNG with SECOND's indices (``label*``: 0 = unchanged) and palette PNG
    with the land cover of every pixel (``cover*``: 1..6). Each file appears under its name
    once it is complete. ``meta.json`` with all settings comes last; a data set without it is
    unfinished, and another call with the same settings finishes it.

    Args:
        root: Folder of the data set, made if it is missing.
        num_train: Number of training pairs, 0 or more.
        num_val: Number of validation pairs, 0 or more.
        config: Settings of the pairs.
        workers: Number of processes; the files are the same for any number. For more than
            one, a script must keep its work under ``if __name__ == '__main__':``.

    Returns:
        Number of pairs written; 0 where all were there.

    Raises:
        ManifestError: The folder holds a data set made with other settings, train or val
            folders of unknown origin, or a damaged ``meta.json``.
        FolderInUseError: Another run is writing to the folder.
        ValueError: A number is out of its range.
    """
    config = config or SyntheticConfig()
    root = Path(root)
    for name, value, least in (
        ('num_train', num_train, 0),
        ('num_val', num_val, 0),
        ('workers', workers, 1),
    ):
        if not least <= value < FIRST_INDEX['val']:
            raise ValueError(f'expected {name} in {least}..{FIRST_INDEX["val"] - 1}, got {value}')
    settings = dict(
        generator='tfinet_mm.datasets.synthetic',
        version=GENERATOR_VERSION,
        num_train=num_train,
        num_val=num_val,
        config=config.to_dict(),
        classes=list(SECOND.names),
    )
    splits = dict(train=num_train, val=num_val)
    with _manifest(root, META) as manifest:
        if manifest.lock_unless(
            lambda: (
                _is_begun(manifest, settings)
                and manifest.path.exists()
                and not _missing(root, splits)
            )
        ):
            return 0
        begun = _manifest(root, UNFINISHED)
        begun.write(settings)
        for folder in (root / split / part for split in FIRST_INDEX for part in FOLDERS):
            folder.mkdir(parents=True, exist_ok=True)
        tasks = [
            (root / split, number, FIRST_INDEX[split] + number, config)
            for split, number in _missing(root, splits)
        ]
        made = _run(tasks, workers)
        for _ in tqdm(made, total=len(tasks), desc=f'pairs in {root}', unit='pair'):
            pass
        os.replace(begun.path, manifest.path)
    return len(tasks)


def _manifest(root: Path, name: str) -> RunManifest:
    return RunManifest(root, name, 'generated pairs', FIX, informative=())


def _is_begun(manifest: RunManifest, settings: dict[str, Any]) -> bool:
    """Return whether a folder holds pairs of these settings; refuse pairs of others."""
    root = manifest.folder
    for one in (manifest, _manifest(root, UNFINISHED)):
        found = one.read()
        if found is not None:
            one.check(found, settings)
            return True
    foreign = [split for split in FIRST_INDEX if (root / split).exists()]
    if foreign:
        raise ManifestError(
            f'{root} has {" and ".join(foreign)} but no {META} that says how they were made; '
            'expected an empty folder, or one of a synthetic data set; choose another folder'
        )
    return False


def _missing(root: Path, splits: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the pairs that lack a file: split and number."""
    return [
        (split, number)
        for split, count in splits.items()
        for number in range(count)
        if not all((root / split / part / _name(number)).exists() for part in FOLDERS)
    ]


def _run(tasks: list[tuple[Path, int, int, SyntheticConfig]], workers: int) -> Iterator[None]:
    if workers == 1 or len(tasks) < 2:
        yield from map(_write_pair, tasks)
        return
    # Not forked: OpenCV's threads don't survive a fork, and a forked worker hangs on them.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, context, initializer=_prepare_worker) as pool:
        yield from pool.map(_write_pair, tasks, chunksize=4)


def _prepare_worker() -> None:
    # The processes share the cores already.
    cv2.setNumThreads(1)


def _name(number: int) -> str:
    return f'{number:05d}.png'


def _write_pair(task: tuple[Path, int, int, SyntheticConfig]) -> None:
    folder, number, index, config = task
    pair = generate_pair(index, config)
    for part, field in FOLDERS.items():
        with whole_file(folder / part / _name(number)) as path:
            path.write_bytes(encode_png(pair, field))


def encode_png(pair: SyntheticPair, field: str) -> bytes:
    """Encode one part of a pair as the bytes of a PNG file.

    Args:
        pair: The pair.
        field: Name of a field of :class:`SyntheticPair`.

    Returns:
        An RGB PNG for a picture, a palette PNG in SECOND's colours for a map.
    """
    array: np.ndarray = getattr(pair, field)
    image = Image.fromarray(array)
    if array.ndim == 2:
        # An image of grey values becomes one of indices when it is given a palette.
        image.putpalette([value for colour in SECOND.palette for value in colour])
    stream = io.BytesIO()
    image.save(stream, 'PNG')
    return stream.getvalue()
