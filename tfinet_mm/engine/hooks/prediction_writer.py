"""Writes tested predictions as label files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.engine.hooks.samples import check_names_differ, class_table, sample_name
from tfinet_mm.errors import LabelValueError
from tfinet_mm.files import sample_file
from tfinet_mm.registry import HOOKS
from tfinet_mm.structures import (
    PRED_CHANGE,
    PRED_CHANGE_PROB,
    PRED_COVER_FROM,
    PRED_COVER_TO,
    PRED_FROM,
    PRED_TO,
)
from tfinet_mm.visualization import colourise, field_array, write_palette_png, write_png


@HOOKS.register_module()
class PredictionWriterHook(Hook):
    """Write the prediction of every tested pair in the layout of label files.

    Under ``out_dir``, each named ``sample_id`` with its sub-folders:

    * ``label1`` and ``label2``: semantic change 0..K of each date, 0 = unchanged,
      as palette PNG in the colours of the data set;
    * ``change``: 0 or 255;
    * with ``land_cover``: ``cover1`` and ``cover2``, land cover 1..K everywhere;
    * with ``probability``: ``change_prob``, P(changed) from 0 to 255.

    Files appear whole or not at all, so a test that was killed leaves none that
    is broken, and ranks that predict the same pair don't disturb each other.

    Args:
        out_dir: Folder to write to; made if it is missing.
        rgb: Write RGB colours, as the public release of SECOND stores labels,
            in place of palette PNG.
        land_cover: Also write the land cover of each date.
        probability: Also write the probability of change.

    Raises:
        ValueError: ``out_dir`` is where a data set of the config has its own
            labels, a sample has no ``sample_id``, or the data set no classes.
        LabelValueError: A prediction to write is missing, or holds a class the
            data set doesn't have.
    """

    def __init__(
        self,
        out_dir: str,
        rgb: bool = False,
        land_cover: bool = False,
        probability: bool = False,
    ) -> None:
        self.out_dir = Path(out_dir)
        self.rgb = rgb
        self.probability = probability
        self.class_maps = {'label1': PRED_FROM, 'label2': PRED_TO}
        if land_cover:
            self.class_maps |= {'cover1': PRED_COVER_FROM, 'cover2': PRED_COVER_TO}

    def before_test(self, runner: Runner) -> None:
        """Refuse to write over labels of the config's data sets, or one pair over another."""
        check_names_differ(runner.test_dataloader.dataset)
        folders = ('', *self.class_maps, 'change', 'change_prob')
        written = {(self.out_dir / folder).resolve() for folder in folders}
        for split in ('train', 'val', 'test'):
            for folder in _data_folders(runner.cfg.get(f'{split}_dataloader')):
                if folder.resolve() in written:
                    raise ValueError(
                        f'predictions under {self.out_dir} would overwrite labels of the data set '
                        f'in {folder}, of the {split}_dataloader; choose a folder of their own'
                    )

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Write the predictions of one batch.

        Args:
            runner: The runner; its test data set tells the palette.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Data samples with predictions.
        """
        palette = class_table(runner.test_dataloader).palette
        for sample in outputs or ():
            name = sample_name(sample)
            for folder, field in self.class_maps.items():
                labels = _array(sample, field, name)
                path = sample_file(self.out_dir / folder, name, '.png')
                if self.rgb:
                    write_png(path, colourise(labels, palette))
                else:
                    write_palette_png(path, labels, palette)
            change = _array(sample, PRED_CHANGE, name)
            write_png(
                sample_file(self.out_dir / 'change', name, '.png'), np.uint8(255) * (change == 1)
            )
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


def _data_folders(config: Any) -> Iterator[Path]:
    """All ``data_root`` and the folders of all ``data_prefix`` in the config of a data loader."""
    if isinstance(config, Mapping):
        root = config.get('data_root')
        if root:
            yield Path(root)
        for folder in (config.get('data_prefix') or {}).values():
            if folder:
                yield Path(root or '', folder)
        config = list(config.values())
    if isinstance(config, list | tuple):
        for part in config:
            yield from _data_folders(part)
