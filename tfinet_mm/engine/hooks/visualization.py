"""Draws pairs while validating and testing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.datasets.images import read_image
from tfinet_mm.engine.hooks.samples import check_names_differ, class_table, sample_name
from tfinet_mm.errors import ImageFormatError
from tfinet_mm.files import sample_file
from tfinet_mm.registry import HOOKS
from tfinet_mm.structures import ClassTable
from tfinet_mm.visualization import draw_sample, write_png


@HOOKS.register_module()
class PairVisualizationHook(Hook):
    """Draw images, annotation, prediction and errors of change of a pair in one picture.

    While validating, every ``interval``-th pair of the data set goes to the
    backends of the runner's visualizer (files, TensorBoard, W&B), the same pairs
    each time, with the training iteration as step. While testing, the pictures
    go to ``out_dir/sample_id.png``, sub-folders kept.

    Args:
        interval: Draw every n-th pair while validating, from the first; 0 draws
            none.
        out_dir: Folder for the pictures of testing; None draws none.
        test_interval: Draw every n-th pair while testing.
        bands: Numbers of the bands to show, counted from 1, one or three.
            The default is RGB, or the first three bands, or the first.
        min_side: Longer side of a panel that small images are enlarged to.
        max_side: Longer side of a panel that large images are reduced to.

    Raises:
        ValueError: ``interval`` is negative or ``test_interval`` below 1; later,
            a sample has no ``sample_id``, the data set no classes, or ``out_dir``
            is the folder of its images.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        interval: int = 50,
        out_dir: str | None = None,
        test_interval: int = 1,
        bands: Sequence[int] | None = None,
        min_side: int = 192,
        max_side: int = 512,
    ) -> None:
        if interval < 0 or test_interval < 1:
            raise ValueError(
                'interval must be 0 (draw nothing while validating) or more and test_interval 1 '
                f'or more, got {interval} and {test_interval}; to draw nothing while testing '
                'leave out_dir out'
            )
        self.interval = interval
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.test_interval = test_interval
        self.bands = bands
        self.sides = dict(min_side=min_side, max_side=max_side)
        self._seen = 0
        self._training = False

    def before_train(self, runner: Runner) -> None:
        """Note that there are training iterations to count steps in."""
        self._training = True

    def after_train(self, runner: Runner) -> None:
        """Note that there are none any more."""
        self._training = False

    def before_val_epoch(self, runner: Runner) -> None:
        """Count pairs from the first one again."""
        self._seen = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Count pairs from the first one again."""
        self._seen = 0
        if self.out_dir is not None:
            check_names_differ(runner.test_dataloader.dataset)

    def _due(self, outputs: Sequence[Any] | None, interval: int) -> list[Any]:
        """The samples of a batch that are to be drawn."""
        rank, ranks = get_dist_info()
        due = []
        for sample in outputs or ():
            # The place in the data set that MMEngine's DefaultSampler gives a rank's i-th sample:
            # the same pairs are drawn whatever the number of ranks.
            position = self._seen * ranks + rank
            self._seen += 1
            if interval and position % interval == 0:
                due.append(sample)
        return due

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Send the pairs of this batch that are due to the visualizer.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Data samples with predictions.
        """
        due = self._due(outputs, self.interval)
        # Visualizers listen to the first rank only.
        if not due or not is_main_process():
            return
        # Without training, asking for the iteration would build the training data set.
        step = runner.iter if self._training else 0
        table = class_table(runner.val_dataloader)
        for sample in due:
            # Backends write NAME_STEP.png and don't make sub-folders; "%2F" can't clash, "_" could.
            name = sample_name(sample).replace('%', '%25').replace('/', '%2F')
            runner.visualizer.add_image(f'val_{name}', self._draw(sample, table), step)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Write the pictures of the pairs of this batch that are due.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Data samples with predictions.
        """
        if self.out_dir is None:
            return
        for sample in self._due(outputs, self.test_interval):
            path = sample_file(self.out_dir, sample_name(sample), '.png')
            if path.resolve() in {Path(image).resolve() for image in sample.img_path}:
                raise ValueError(
                    f'the picture of sample {sample_name(sample)} would overwrite its image '
                    f'{path}; choose a folder of its own for the pictures'
                )
            table = class_table(runner.test_dataloader)
            write_png(path, self._draw(sample, table))

    def _draw(self, sample: Any, table: ClassTable) -> np.ndarray:
        """Draw a pair over its images as their files hold them, cut to the sample's window."""
        before, after = (_read(path, self.bands, sample.get('window')) for path in sample.img_path)
        return draw_sample(sample, before, after, table, **self.sides)


def _read(path: str, bands: Sequence[int] | None, window: Sequence[int] | None) -> np.ndarray:
    choices = [bands] if bands is not None else [None, (1, 2, 3)]
    for choice in choices:
        try:
            return read_image(path, choice, window)
        except ImageFormatError:
            if bands is not None:
                raise
    return read_image(path, (1,), window)
