"""Read the pairs on which the ranges of an int8 network are measured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from mmengine.registry import DefaultScope

from tfinet_mm.apis.command_output import list_pairs
from tfinet_mm.apis.command_table import is_table
from tfinet_mm.apis.loading import inference_steps
from tfinet_mm.apis.network_files import CONFIG_SUFFIXES
from tfinet_mm.apis.torch_network import TorchNetwork
from tfinet_mm.deploy.card import ExportCard
from tfinet_mm.errors import ExportError
from tfinet_mm.registry import DATASETS
from tfinet_mm.utils.config.reading import read_config_file

CalibrationSource: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A config with a data set, a table of pairs, or the folders of the images of both dates."""


def calibration_images(
    inferencer: TorchNetwork, card: ExportCard, source: CalibrationSource, number: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read pairs in the form that an exported network takes.

    Args:
        inferencer: The network, which knows its bands.
        card: Size and type of the inputs.
        source: See :data:`CalibrationSource`. Of a config, the data set that it tests on.
        number: Greatest number of pairs, spread evenly over all.

    Yields:
        The middle of both images, (1, B, H, W) each, of one window at most.

    Raises:
        ExportError: There are no pairs, or ``number`` isn't above 0.
        FileNotFoundError, ImageFormatError: A file is missing or doesn't fit the network.
    """
    if number < 1:
        raise ExportError(f'calibration needs one pair or more, got {number} as their number')
    paths = _paths(source)
    first = os.fspath(paths[0])
    is_config = len(paths) == 1 and Path(first).suffix in CONFIG_SUFFIXES
    if len(paths) == 1 and not is_config and not is_table(first):
        raise ExportError(
            f'{first} is neither a config nor a table of pairs (.csv); give one, or two folders of '
            'images'
        )
    pairs: Any = _Dataset(first, card) if is_config else _Files(inferencer, paths)
    if not len(pairs):
        raise ExportError(f'{source_name(source)} has no pairs to calibrate on; name others')
    for index in np.linspace(0, len(pairs) - 1, min(number, len(pairs))).round().astype(int):
        before, after = (_fitting(image, card) for image in pairs.read(int(index)))
        yield before, after


def source_name(source: CalibrationSource) -> str:
    """Return the names of the files or folders, without the folders that they are in."""
    return ', '.join(Path(path).name for path in _paths(source))


def _paths(source: CalibrationSource) -> list[str]:
    listed = [source] if isinstance(source, str | os.PathLike) else list(source)
    if len(listed) not in (1, 2):
        raise ExportError(
            f'calibration takes a config, a table, or two folders of images, got '
            f'{len(listed)} names'
        )
    return [os.fspath(path) for path in listed]


class _Files:
    """Pairs of image files."""

    def __init__(self, inferencer: TorchNetwork, paths: Sequence[str]) -> None:
        self.read_image = inferencer.read_image
        self.pairs = list_pairs(paths[0], paths[1] if len(paths) == 2 else '', 'picture')

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the stored values of a pair, (H, W, B) each."""
        pair = self.pairs[index]
        return self.read_image(pair.before), self.read_image(pair.after)


class _Dataset:
    """Pairs of the data set that a config tests on."""

    def __init__(self, config: str, card: ExportCard) -> None:
        cfg = read_config_file(config)
        loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
        if not loader:
            raise ExportError(
                f'{config} has no test_dataloader to calibrate on; name another config'
            )
        dataset = dict(loader['dataset'])
        steps = list(dataset.get('pipeline') or ())
        if steps and str(steps[0].get('type')).rpartition('.')[2] == 'LoadImagePair':
            # Labels aren't needed, and may be missing.
            dataset['pipeline'] = inference_steps(cfg)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
            self.dataset = DATASETS.build(dataset)
        self.value_range = card.value_range

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, index: int) -> tuple[np.ndarray, ...]:
        """Return the values of a pair as they would be stored, (H, W, B) each."""
        values = np.asarray(self.dataset[index]['inputs'], np.float32).transpose(1, 2, 0)
        if self.value_range is not None:
            low, high = self.value_range
            values = low + values * ((high - low) / 255)
        return tuple(np.split(values, 2, axis=2))


def _fitting(image: np.ndarray, card: ExportCard) -> np.ndarray:
    """Cut the middle out of an image (H, W, B), and repeat its border where it is too small."""
    sides = []
    for axis, side in enumerate(image.shape[:2]):
        if card.size is not None:
            sides.append(card.size[axis])
            continue
        divisor = card.size_divisor
        least = max(min(side, card.window), card.least_side)
        sides.append(max(least // divisor, 1) * divisor)
    for axis, side in enumerate(sides):
        start = max((image.shape[axis] - side) // 2, 0)
        # Indices beyond the border stay on it.
        places = np.minimum(np.arange(start, start + side), image.shape[axis] - 1)
        image = image.take(places, axis)
    if card.input_type != 'float32':
        image = image.astype(np.float64).round().clip(0, np.iinfo(card.input_type).max)
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None].astype(card.input_type))
