"""Write tested predictions as label files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.engine.hooks.sample_info import check_names_differ, class_table, file_name
from tfinet_mm.registry import HOOKS
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
        palette = class_table(runner.test_dataloader).palette
        for sample in outputs or ():
            self.files.write(sample, file_name(sample), palette)


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
