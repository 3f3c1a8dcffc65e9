"""Writing a synthetic data set: whole files, in parallel, continued where it stopped."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from tfinet_mm.datasets.synthetic.generate import SyntheticConfig, SyntheticPair, generate_pair
from tfinet_mm.datasets.synthetic.raster import cv2
from tfinet_mm.files import whole_file
from tfinet_mm.structures import SECOND

GENERATOR_VERSION = 2
"""Counted up whenever the same settings give other pictures than before."""

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


def write_dataset(
    root: str | os.PathLike[str],
    num_train: int,
    num_val: int,
    config: SyntheticConfig | None = None,
    workers: int = 1,
) -> int:
    """Write a data set, or what is missing of it.

    The folder gets ``{train,val}/{im1,im2,label1,label2,cover1,cover2}/NNNNN.png``: RGB
    pictures, palette PNG with SECOND's indices (``label*``: 0 = unchanged) and palette PNG
    with the land cover of every pixel (``cover*``: 1..6). Each file appears under its name
    when it is whole. ``meta.json`` with all settings comes last; a data set without it is
    unfinished, and another call with the same settings finishes it.

    Args:
        root: Folder of the data set, made if it is missing.
        num_train: Number of training pairs, 0 or more.
        num_val: Number of validation pairs, 0 or more.
        config: What the pairs are made from.
        workers: Number of processes; the files are the same for any number. More than one
            asks of a script that it keeps its work under ``if __name__ == '__main__':``.

    Returns:
        How many pairs were written; 0 where all were there.

    Raises:
        FileExistsError: The folder holds a data set made with other settings, or train or
            val folders of unknown origin.
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
    finished = _check_folder(root, settings)
    tasks = [
        (root / split, number, FIRST_INDEX[split] + number, config)
        for split, count in (('train', num_train), ('val', num_val))
        for number in range(count)
        if not _is_written(root / split, number)
    ]
    if finished and not tasks:
        return 0
    with whole_file(root / UNFINISHED) as path:
        path.write_text(json.dumps(settings, indent=2) + '\n', encoding='utf-8')
    for folder in (root / split / part for split in FIRST_INDEX for part in FOLDERS):
        folder.mkdir(parents=True, exist_ok=True)
        # What a killed run left half written lies under hidden names.
        for left in folder.glob('.*.png'):
            left.unlink()
    for _ in tqdm(_run(tasks, workers), total=len(tasks), desc=f'pairs in {root}', unit='pair'):
        pass
    os.replace(root / UNFINISHED, root / META)
    return len(tasks)


def _check_folder(root: Path, settings: dict[str, Any]) -> bool:
    """Whether a folder holds the finished data set; refuses what can't be continued."""
    for name in (META, UNFINISHED):
        path = root / name
        if not path.exists():
            continue
        try:
            found = json.loads(path.read_text(encoding='utf-8'))
        except ValueError:
            found = None
        if found != settings:
            raise FileExistsError(
                f'{root} holds a synthetic data set made with other settings: '
                f'{_difference(found, settings)}; choose another folder, remove this one, or '
                'ask for the settings it was made with'
            )
        return name == META
    foreign = [split for split in FIRST_INDEX if (root / split).exists()]
    if foreign:
        raise FileExistsError(
            f'{root} has {" and ".join(foreign)} but no {META} that says how they were made; '
            'expected an empty folder, or one of a synthetic data set; choose another folder'
        )
    return False


def _difference(found: Any, expected: dict[str, Any]) -> str:
    """Words for what differs between two settings."""
    if not isinstance(found, dict):
        return f'its {META} is no JSON object'
    flat = [{**side, **side.get('config', {})} for side in (found, expected)]
    keys = [key for key in (*flat[1], *flat[0]) if key != 'config']
    return ', '.join(
        f'{key} is {flat[0].get(key)!r}, asked for {flat[1].get(key)!r}'
        for key in dict.fromkeys(keys)
        if flat[0].get(key) != flat[1].get(key)
    )


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


def _is_written(folder: Path, number: int) -> bool:
    return all((folder / part / _name(number)).exists() for part in FOLDERS)


def _write_pair(task: tuple[Path, int, int, SyntheticConfig]) -> None:
    folder, number, index, config = task
    pair = generate_pair(index, config)
    for part, field in FOLDERS.items():
        with whole_file(folder / part / _name(number)) as path:
            path.write_bytes(encode_png(pair, field))


def encode_png(pair: SyntheticPair, field: str) -> bytes:
    """One part of a pair as the bytes of a PNG file.

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
