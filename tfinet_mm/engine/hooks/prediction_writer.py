"""Write tested predictions as label files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import PixelData

from tfinet_mm.checkpoints.contents import trained_roles
from tfinet_mm.engine.hooks.sample_info import check_names_differ, class_table, file_name
from tfinet_mm.engine.land_cover import is_untrained
from tfinet_mm.registry import HOOKS
from tfinet_mm.structures import (
    ALL_ROLES,
    CHANGE_ONLY,
    PRED_CHANGE,
    PRED_COVER_FROM,
    PRED_COVER_TO,
    PRED_FROM,
    PRED_TO,
)
from tfinet_mm.visualization.prediction_files import PredictionFiles


@HOOKS.register_module()
class PredictionWriterHook(Hook):
    """Write the prediction of every tested pair in the layout of label files.

    Under ``out_dir``, each named ``sample_id`` with its sub-folders, or after the image before
    where samples have none, as those of Open-CD:

    * ``label1`` and ``label2``: semantic change 0..K of each date, 0 = unchanged,
      as palette PNG in the colours of the data set or as ``storage`` says;
    * ``change``: 0 or 255, in the storage ``'index'`` 0 or 1;
    * with ``land_cover``: ``cover1`` and ``cover2``, land cover 1..K everywhere;
    * with ``probability``: ``change_prob``, P(changed) from 0 to 255.

    Of a network with several classes that was trained on change alone, the classes mean nothing:
    what changed is the one class ``'changed'``, as in ``tools/predict.py``.

    A file appears only once it is complete, so a killed test leaves no broken
    file, and ranks that predict the same pair don't disturb each other.

    Args:
        out_dir: Folder to write to; made if it is missing.
        storage: ``'palette'``, ``'rgb'`` as the public release of SECOND stores labels, or
            ``'index'``, grey class numbers, the only ones that Open-CD reads. This package
            reads all three.
        land_cover: Also write the land cover of each date.
        probability: Also write the probability of change.

    Raises:
        ValueError: ``out_dir`` is where a data set of the config has its own
            labels, ``storage`` is unknown, two samples share their name, or the data set has
            no classes.
        LabelValueError: A prediction to write is missing, or holds a class the
            data set doesn't have.
    """

    def __init__(
        self,
        out_dir: str,
        storage: str = 'palette',
        land_cover: bool = False,
        probability: bool = False,
    ) -> None:
        self.files = PredictionFiles(out_dir, storage, land_cover, probability)
        self._roles: tuple[str, ...] = ALL_ROLES

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep what the checkpoint was trained on."""
        self._roles = trained_roles(checkpoint)

    def before_test(self, runner: Runner) -> None:
        """Refuse to overwrite labels of the config's data sets, or one pair by another."""
        check_names_differ(runner.test_dataloader.dataset)
        out_dir = self.files.out_dir
        written = {(out_dir / folder).resolve() for folder in ('', *self.files.folders)}
        for split in ('train', 'val', 'test'):
            for folder in _data_folders(runner.cfg.get(f'{split}_dataloader')):
                if folder.resolve() in written:
                    raise ValueError(
                        f'predictions under {out_dir} would overwrite labels of the data set '
                        f'in {folder}, of the {split}_dataloader; choose another folder'
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
            runner: The runner; its test data set has the palette.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Data samples with predictions.
        """
        # Loops of other packages may call a hook with a runner that has no model.
        model = getattr(runner, 'model', None)
        one_class = model is not None and is_untrained(model, self._roles)
        table = CHANGE_ONLY if one_class else class_table(runner.test_dataloader)
        for sample in outputs or ():
            shown = _with_one_class(sample) if one_class else sample
            self.files.write(shown, file_name(sample), table.palette)


def _with_one_class(sample: Any) -> Any:
    """Return a copy of a data sample in which all land cover is class 1."""
    copied = sample.clone()
    change = getattr(sample, PRED_CHANGE).data
    everywhere = torch.ones_like(change, dtype=torch.uint8)
    for fields, values in (
        ((PRED_FROM, PRED_TO), (change == 1).to(torch.uint8)),
        ((PRED_COVER_FROM, PRED_COVER_TO), everywhere),
    ):
        for field in fields:
            copied.set_field(PixelData(data=values), field)
    return copied


def _data_folders(config: Any) -> Iterator[Path]:
    """Yield each ``data_root`` and the folders of each ``data_prefix`` of a data loader."""
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
