"""Write predictions as files in the layout of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.conventions import convention_of, own_prediction
from tfinet_mm.errors import LabelValueError
from tfinet_mm.io.png import colourise, write_index_png, write_palette_png, write_png
from tfinet_mm.structures import (
    PRED_CHANGE,
    PRED_CHANGE_PROB,
    PRED_COVER_FROM,
    PRED_COVER_TO,
    PRED_FROM,
    PRED_TO,
)
from tfinet_mm.utils.files import sample_file
from tfinet_mm.visualization.overlay import field_array

STORAGES = ('palette', 'rgb', 'index')


class PredictionFiles:
    """Writer of predicted maps below a folder, each named after its pair.

    Args:
        out_dir: Folder to write to; made if it is missing.
        storage: How class maps are stored: ``'palette'`` as palette PNG in the colours of the
            data set, ``'rgb'`` as RGB in these colours, ``'index'`` as grey PNG of the class
            numbers, with the change mask as 0 and 1 in place of 0 and 255. Open-CD reads the last
            alone.
        land_cover: Also write the land cover of each date.
        probability: Also write the probability of change.

    Raises:
        ValueError: ``storage`` is another.

    Attributes:
        folders: Names of the folders below ``out_dir`` that maps of classes go to.
    """

    def __init__(
        self,
        out_dir: str | Path,
        storage: str = 'palette',
        land_cover: bool = False,
        probability: bool = False,
    ) -> None:
        self.out_dir = Path(out_dir)
        if storage not in STORAGES:
            raise ValueError(f'storage must be one of {STORAGES}, got {storage!r}')
        self.storage = storage
        self.probability = probability
        self._class_maps = {'label1': PRED_FROM, 'label2': PRED_TO}
        if land_cover:
            self._class_maps |= {'cover1': PRED_COVER_FROM, 'cover2': PRED_COVER_TO}
        self.folders = (*self._class_maps, 'change', 'change_prob')

    def paths(self, name: str) -> list[Path]:
        """Return the files that a pair of this name may get."""
        return [sample_file(self.out_dir / folder, name, '.png') for folder in self.folders]

    def write(self, sample: Any, name: str, palette: Sequence[Sequence[int]]) -> None:
        """Write the maps of one pair.

        Args:
            sample: Data sample, or its dictionary, with predictions.
            name: Name of the pair, with its sub-folders.
            palette: Colours of the K + 1 classes.

        Raises:
            LabelValueError: A prediction to write is missing, holds a class that has no
                colour, or nobody states how it counts classes.
        """
        change = _array(sample, PRED_CHANGE, name)
        convention = convention_of(sample)
        for folder, field in self._class_maps.items():
            labels = _array(sample, field, name)
            if field in (PRED_FROM, PRED_TO):
                labels = own_prediction(labels, change, convention)
            path = sample_file(self.out_dir / folder, name, '.png')
            if self.storage == 'rgb':
                write_png(path, colourise(labels, palette))
            elif self.storage == 'index':
                write_index_png(path, labels, palette)
            else:
                write_palette_png(path, labels, palette)
        changed = np.uint8(1 if self.storage == 'index' else 255)
        write_png(sample_file(self.out_dir / 'change', name, '.png'), changed * (change == 1))
        if self.probability:
            share = _array(sample, PRED_CHANGE_PROB, name).clip(0, 1)
            path = sample_file(self.out_dir / 'change_prob', name, '.png')
            write_png(path, np.round(share * 255).astype(np.uint8))


def _array(sample: Any, field: str, name: str) -> np.ndarray:
    array = field_array(sample, field)
    if array is None:
        raise LabelValueError(
            f'the prediction of sample {name} has no {field!r} to write, only '
            f'{sorted(sample.keys())}; the model must return it'
        )
    return array
