"""Write predictions as files in the layout of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import LabelValueError
from tfinet_mm.io.png import colourise, write_palette_png, write_png
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


class PredictionFiles:
    """Writer of predicted maps below a folder, each named after its pair.

    Args:
        out_dir: Folder to write to; made if it is missing.
        rgb: Write RGB colours in place of palette PNG.
        land_cover: Also write the land cover of each date.
        probability: Also write the probability of change.

    Attributes:
        folders: Names of the folders below ``out_dir`` that maps of classes go to.
    """

    def __init__(
        self,
        out_dir: str | Path,
        rgb: bool = False,
        land_cover: bool = False,
        probability: bool = False,
    ) -> None:
        self.out_dir = Path(out_dir)
        self.rgb = rgb
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
            LabelValueError: A prediction to write is missing, or holds a class
                that has no colour.
        """
        for folder, field in self._class_maps.items():
            labels = _array(sample, field, name)
            path = sample_file(self.out_dir / folder, name, '.png')
            if self.rgb:
                write_png(path, colourise(labels, palette))
            else:
                write_palette_png(path, labels, palette)
        change = _array(sample, PRED_CHANGE, name)
        write_png(sample_file(self.out_dir / 'change', name, '.png'), np.uint8(255) * (change == 1))
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
