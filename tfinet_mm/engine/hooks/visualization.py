"""Draw pairs while validating and testing."""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, get_dist_info, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend
from PIL import Image

from tfinet_mm.engine.hooks.sample_info import (
    check_names_differ,
    class_table,
    dataset_index,
    file_name,
)
from tfinet_mm.engine.hooks.shown_samples import sample_key, shown_samples, spread_indices
from tfinet_mm.errors import ImageFormatError
from tfinet_mm.io.images import read_image
from tfinet_mm.registry import HOOKS
from tfinet_mm.structures import ClassTable
from tfinet_mm.utils.files import sample_file
from tfinet_mm.visualization import draw_sample, write_png


@HOOKS.register_module()
class PairVisualizationHook(Hook):
    """Draw images, annotation, prediction and errors of change of a pair in one picture.

    While validating, ``number`` pairs spread over the data set go to the backends
    of the runner's visualizer (files, TensorBoard, W&B) as ``val/SAMPLE_ID``: the
    same pairs each time and on any number of processes, with the training
    iteration as step. While testing, the pictures go to ``out_dir/SAMPLE_ID.png``,
    and with ``draw`` or ``show``, which mmseg's ``tools/test.py`` sets, to the
    backends as ``test/SAMPLE_ID`` or to a window. Sub-folders are kept.

    Args:
        number: Number of pairs to draw while validating; 0 draws none.
        interval: Draw every n-th pair instead, from the first; 0 draws none.
        out_dir: Folder for the pictures of testing; None draws none.
        test_interval: Draw every n-th pair while testing.
        bands: Numbers of the bands to show, counted from 1, one or three.
            The default is RGB, or the first three bands, or the first.
        min_side: Longer side of a panel, in pixels, to which small images are enlarged.
        max_side: Longer side of a panel, in pixels, to which large images are reduced.
        draw: Send the pictures of testing to the backends of the visualizer.
        show: Show the pictures of testing in a window.
        wait_time: Seconds to show each of them.

    Raises:
        ValueError: ``number`` or ``interval`` is negative or ``test_interval``
            below 1; later, a sample has no ``sample_id``, the data set no
            classes, or ``out_dir`` is the folder of its images.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        number: int = 8,
        interval: int | None = None,
        out_dir: str | None = None,
        test_interval: int = 1,
        bands: Sequence[int] | None = None,
        min_side: int = 192,
        max_side: int = 512,
        draw: bool = False,
        show: bool = False,
        wait_time: float = 0.0,
    ) -> None:
        if number < 0 or (interval or 0) < 0 or test_interval < 1:
            raise ValueError(
                'number and interval must be 0 (draw nothing while validating) or more and '
                f'test_interval 1 or more, got {number}, {interval} and {test_interval}; to draw '
                'nothing while testing leave out_dir out'
            )
        self.number = number
        self.interval = interval
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.test_interval = test_interval
        self.bands = bands
        self.sides = dict(min_side=min_side, max_side=max_side)
        self.draw = draw
        self.show = show
        self.wait_time = wait_time
        self._seen = 0
        self._training = False
        self._chosen: dict[Hashable, str] = {}
        self._shown: set[str] = set()
        self._held: list[tuple[str, bytes]] = []

    def before_train(self, runner: Runner) -> None:
        """Count steps in training iterations from now on."""
        self._training = True

    def after_train(self, runner: Runner) -> None:
        """Count no more steps in training iterations."""
        self._training = False

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose the pairs to draw, the same ones every time."""
        self._seen = 0
        self._shown, self._held = set(), []
        dataset = runner.val_dataloader.dataset
        self._chosen = shown_samples(
            dataset, spread_indices(len(dataset), self.number, self.interval)
        )

    def before_test_epoch(self, runner: Runner) -> None:
        """Count pairs from the first one again."""
        self._seen = 0
        self._shown, self._held = set(), []
        if self.out_dir is not None or self.draw:
            check_names_differ(runner.test_dataloader.dataset)

    def _positions(self, outputs: Sequence[Any] | None) -> Iterator[tuple[int, Any]]:
        """Yield the samples of a batch, each with its place in the data set."""
        for sample in outputs or ():
            yield dataset_index(self._seen), sample
            self._seen += 1

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw the chosen pairs of this batch.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Data samples with predictions.
        """
        if not self._chosen:
            return
        for position, sample in self._positions(outputs):
            suffix = self._chosen.get(sample_key(sample), self._chosen.get(position))
            if suffix is None:
                continue
            name = f'val/{file_name(sample)}{suffix}'
            # In the picture as well, since W&B doesn't keep the step with it.
            note = f'iteration {runner.iter}' if self._training else ''
            picture = self._draw(sample, class_table(runner.val_dataloader), note)
            self._send(runner, name, picture)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Let the first rank show the pictures of the others.

        Args:
            runner: The runner.
            metrics: Not used.
        """
        if self._chosen:
            self._send_held(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Let the first rank show the pictures of the others.

        Args:
            runner: The runner.
            metrics: Not used.
        """
        if self.draw:
            self._send_held(runner)

    def _send(self, runner: Runner, name: str, picture: np.ndarray) -> None:
        """Send a picture to the backends, which listen to the first rank only."""
        if is_main_process():
            self._show(runner, name, picture)
        else:
            self._held.append((name, _packed(picture)))

    def _send_held(self, runner: Runner) -> None:
        if get_dist_info()[1] == 1:
            return
        drawn = all_gather_object(self._held)
        self._held = []
        if is_main_process():
            for name, data in (one for part in drawn for one in part):
                self._show(runner, name, _unpacked(data))

    def _show(self, runner: Runner, name: str, picture: np.ndarray) -> None:
        """Send a picture to the backends, once in a validation or test."""
        # Samples that fill up the ranks are drawn by two of them.
        if name in self._shown:
            return
        self._shown.add(name)
        # Without training, asking for the iteration would build the training data set.
        step = runner.iter if self._training else 0
        for backend in runner.visualizer._vis_backends.values():
            if isinstance(backend, LocalVisBackend):
                # The backend makes no sub-folders, and OpenCV doesn't report that it can't write.
                folder = backend.experiment._img_save_dir
                sample_file(folder, name, f'_{step}.png').parent.mkdir(parents=True, exist_ok=True)
        runner.visualizer.add_image(name, picture, step)

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
        if self.out_dir is None and not (self.draw or self.show):
            return
        size = len(runner.test_dataloader.dataset)
        for position, sample in self._positions(outputs):
            if position % self.test_interval or position >= size:
                continue
            name = file_name(sample)
            picture = self._draw(sample, class_table(runner.test_dataloader))
            if self.out_dir is not None:
                self._write(self.out_dir, name, picture, sample)
            if self.draw:
                self._send(runner, f'test/{name}', picture)
            if self.show:
                runner.visualizer.show(picture, win_name=name, wait_time=self.wait_time)

    @staticmethod
    def _write(folder: Path, name: str, picture: np.ndarray, sample: Any) -> None:
        path = sample_file(folder, name, '.png')
        if path.resolve() in {Path(image).resolve() for image in sample.img_path}:
            raise ValueError(
                f'the picture of sample {name} would overwrite its image '
                f'{path}; choose another folder for the pictures'
            )
        write_png(path, picture)

    def _draw(self, sample: Any, table: ClassTable, note: str = '') -> np.ndarray:
        """Draw a pair over its images as their files hold them, cut to the sample's window."""
        before, after = (_read(path, self.bands, sample.get('window')) for path in sample.img_path)
        return draw_sample(sample, before, after, table, note, **self.sides)


def _read(path: str, bands: Sequence[int] | None, window: Sequence[int] | None) -> np.ndarray:
    tried = [bands] if bands is not None else [None, (1, 2, 3)]
    for numbers in tried:
        try:
            return read_image(path, numbers, window)
        except ImageFormatError:
            if bands is not None:
                raise
    return read_image(path, (1,), window)


def _packed(picture: np.ndarray) -> bytes:
    """Encode as PNG, which takes a hundredth of the memory on the way to the first rank."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format='PNG')
    return buffer.getvalue()


def _unpacked(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)
