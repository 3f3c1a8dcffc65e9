"""Predict pairs of images with a trained model."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, overload

import numpy as np
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample

from tfinet_mm.apis.aligned_pictures import align_pictures
from tfinet_mm.apis.loading import (
    ConfigLike,
    build_model,
    build_pipeline,
    find_classes,
    find_window,
    read_config,
    set_windows,
)
from tfinet_mm.apis.masked_arrays import (
    fill_masked,
    masked_where_unseen,
    valid_pixels,
    without_mask,
)
from tfinet_mm.apis.result import SCDResult
from tfinet_mm.apis.views import Augmentation, find_augmentation
from tfinet_mm.engine.testing import is_ensemble
from tfinet_mm.errors import ImageFormatError
from tfinet_mm.io.images import split_dates
from tfinet_mm.models.detectors import SCDTTAModel
from tfinet_mm.models.detectors.augmentation import view_names
from tfinet_mm.models.identity import member_entries
from tfinet_mm.models.members import network_bands
from tfinet_mm.structures import (
    PRED_CHANGE,
    PRED_CHANGE_PROB,
    PRED_COVER_FROM,
    PRED_COVER_TO,
    ClassTable,
    SCDProbabilities,
)
from tfinet_mm.utils.device import resolve_precisions, usable_device
from tfinet_mm.utils.prefetch import map_ahead
from tfinet_mm.visualization import field_array

ImageLike: TypeAlias = str | os.PathLike[str] | np.ndarray
"""An image: a file, or an array (H, W, B), or (H, W) for one band."""

_Before = TypeVar('_Before', bound=ImageLike)
_After = TypeVar('_After', bound=ImageLike)


class SCDInferencer:
    """Trained model that takes pairs of images and needs no label.

    It predicts the same as ``tools/test.py``, with the same test pipeline
    (without labels), the same windows and the same threshold.

    Args:
        config: A config, as file, dictionary or :class:`~mmengine.config.Config`;
            that of an ensemble needs no checkpoint. Or a checkpoint that carries
            its config, which is read without running it. Without config and
            checkpoint, the weights that come with the package.
        checkpoint: Weights of the model: a file, an address, or the name of weights
            that come with the package.
        device: Name such as ``'cpu'`` or ``'cuda:1'``; by default a GPU where there is one.
        tta: Average over views: True for the flips, rotations and scales of the config's
            ``tta_model``, or else all six flips and rotations; a list of names out of
            :data:`~tfinet_mm.models.detectors.augmentation.TTA_TRANSFORMS`; a dictionary
            of ``transforms`` and ``scales``; or False for none. By default those of the
            config's ``default_tta``, which the weights of the package have, or else none.
        amp: Type to compute in: True or ``'auto'`` for the fastest of the device,
            ``'bfloat16'``, ``'float16'`` or ``'float32'``; False for the config's own.
        threshold: P(changed) from which a pixel counts as changed; by default
            the model's own.
        window: Predict in sliding windows of this side in pixels, or (height,
            width); by default as the config says. Smaller images are one window.
        overlap: Pixels that neighbouring windows share, or (vertical,
            horizontal); by default a quarter of the window.
        batch_size: Pairs of one size that go through the network together.
        bands: Bands to take of each image, counted from 1, in place of the
            config's.
        value_range: (low, high), the values that become 0 and 255, in place of
            the config's. Needed for all but 8-bit images.
        class_table: Names and colours of the classes; by default those of the
            checkpoint, or else of the config's data set.
        cfg_options: Values by dotted key that replace the config's.
        align: Move each image after onto the one before by the shift that is measured
            between them. For scenes, give it to :func:`~tfinet_mm.apis.predict_scene`.

    Attributes:
        model: The network.
        device: Its device.
        class_table: Names and colours of the classes.
        batch_size: Pairs that go through the network together.
        views: Names of the transforms and the scales that predictions are averaged over.
        bands: Bands that are taken of an image, or None for those of plain RGB.
        value_range: The values that become 0 and 255, or None.
        network_bands: Bands of each date that the network takes.
        other_transforms: Names of the pipeline's transforms besides loading and packing.
        window: Side of the windows that scenes are predicted in: the option, or
            else that of the config's windows or training crops, or else 512.
        overlap: Pixels that windows of scenes share.

    Raises:
        FileNotFoundError: The config or the checkpoint isn't there.
        CheckpointMismatchError: The checkpoint holds another network.
        UntrustedCheckpointError: The checkpoint could run code.
        ClassMismatchError: ``class_table`` isn't that of the model.
        ValueError: An option is out of range, or can't be used with this model.
    """

    def __init__(
        self,
        config: ConfigLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device | None = None,
        *,
        tta: Augmentation = None,
        amp: bool | str = False,
        threshold: float | None = None,
        window: int | Sequence[int] | None = None,
        overlap: int | Sequence[int] | None = None,
        batch_size: int = 1,
        bands: Sequence[int] | None = None,
        value_range: Sequence[float] | None = None,
        class_table: ClassTable | None = None,
        cfg_options: Mapping[str, Any] | None = None,
        align: bool = False,
    ) -> None:
        """See the class."""
        if batch_size < 1:
            raise ValueError(f'batch_size must be 1 or more, got {batch_size}')
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f'threshold is a probability from 0 to 1, got {threshold}')
        if overlap is not None and window is None:
            raise ValueError('overlap is that of sliding windows; give window as well')
        self.device = usable_device(device)
        cfg, checkpoint = read_config(config, checkpoint, cfg_options)
        if amp is True:
            amp = 'auto'
        self._checkpoint = checkpoint
        self._model_cfg = Config(dict(model=copy.deepcopy(cfg.model)), filename=cfg.filename)
        self.model, named = build_model(cfg, checkpoint, amp or None)
        if window is not None:
            set_windows(self.model, window, overlap)
        if threshold is not None:
            self.model.test_cfg['threshold'] = float(threshold)
        self.class_table = find_classes(cfg, self.model.num_classes, class_table, named)
        self.window = find_window(cfg, self.model) if window is None else _smaller(window)
        self.overlap = self.window // 4 if overlap is None else _smaller(overlap)
        self._loader, self._transforms = build_pipeline(cfg, bands, value_range)
        self.bands, self.value_range = self._loader.bands, self._loader.value_range
        self.network_bands = network_bands(self._model_cfg)
        names = [type(transform).__name__ for transform in self._transforms]
        self.other_transforms = [name for name in names if name != 'PackPairInputs']
        self.batch_size = batch_size
        self._align = align
        self.model.to(self.device)
        self._stepper: Any = self.model
        augmentation = find_augmentation(cfg, tta)
        self._tta: list[str] = []
        self.views: tuple[tuple[str, ...], tuple[float, ...]] = (('identity',), (1.0,))
        if augmentation is not None:
            self._stepper = SCDTTAModel(self.model, **augmentation)
            self.views = self._stepper.transforms, self._stepper.scales
            self._tta = view_names(self._stepper.transforms, self._stepper.scales)

    @overload
    def __call__(self, before: ImageLike, after: ImageLike) -> SCDResult: ...

    @overload
    def __call__(
        self,
        before: list[_Before] | tuple[_Before, ...],
        after: list[_After] | tuple[_After, ...],
    ) -> list[SCDResult]: ...

    def __call__(
        self,
        before: ImageLike | list[_Before] | tuple[_Before, ...],
        after: ImageLike | list[_After] | tuple[_After, ...],
    ) -> SCDResult | list[SCDResult]:
        """Predict one pair, or a list of pairs.

        Args:
            before: The image of the first date: a file, or an array (H, W, B) of
                uint8 in RGB order, or of any type where a value range is stated.
                Masked pixels of a masked array (``numpy.ma``) are not seen.
                Or a list of these.
            after: The image of the second date, of the same size; or a list of as many.

        Returns:
            :class:`~tfinet_mm.apis.SCDResult`, or a list of them in the order
            of the pairs. Those of one size go through the network together.

        Raises:
            FileNotFoundError: An image isn't there.
            ImageFormatError: Images of a pair differ, or have other bands or
                another type than the model takes.
            ValueError: The lists differ in length, or only one of the two is a list.
        """
        if isinstance(before, list | tuple) and isinstance(after, list | tuple):
            if len(before) != len(after):
                raise ValueError(
                    f'both lists need one image for each pair, got {len(before)} before and '
                    f'{len(after)} after'
                )
            results = dict(self.predict(zip(before, after, strict=True)))
            return [results[index] for index in range(len(before))]
        if isinstance(before, list | tuple) or isinstance(after, list | tuple):
            raise ValueError(
                f'give two images or two lists, got a {type(before).__name__} and a '
                f'{type(after).__name__}'
            )
        return next(self.predict([(before, after)]))[1]

    def predict(
        self,
        pairs: Iterable[tuple[ImageLike, ImageLike]],
        workers: int = 0,
        on_error: Callable[[int, Exception], object] | None = None,
    ) -> Iterator[tuple[int, SCDResult]]:
        """Predict pairs one batch after another, for more pairs than memory holds.

        Args:
            pairs: (before, after) each, taken as they are needed.
            workers: Threads that read images ahead; results don't depend on it.
            on_error: Function called with the number of a pair that can't be predicted and its
                error; the others are predicted. By default the error is raised.

        Yields:
            The number of a pair, counted from 0, and its result. Pairs of one
            size wait for a full batch, so the order may differ from that of the
            pairs where sizes do.
        """
        waiting: dict[tuple[int, ...], list[tuple[int, _Loaded]]] = {}
        ahead = workers + self.batch_size

        def load(pair: tuple[ImageLike, ImageLike]) -> _Loaded | Exception:
            try:
                return self._load(pair)
            except Exception as error:
                if on_error is None:
                    raise
                return error

        for index, loaded in enumerate(map_ahead(load, pairs, workers, ahead)):
            if isinstance(loaded, Exception):
                assert on_error is not None
                on_error(index, loaded)
                continue
            batch = waiting.setdefault(tuple(loaded.inputs.shape), [])
            batch.append((index, loaded))
            if len(batch) == self.batch_size:
                yield from self._try_batch(waiting.pop(tuple(loaded.inputs.shape)), on_error)
        for batch in waiting.values():
            yield from self._try_batch(batch, on_error)

    def predict_probabilities(self, pairs: np.ndarray | torch.Tensor) -> SCDProbabilities:
        """Predict the probabilities of a batch.

        Args:
            pairs: (N, 2B, H, W), before's bands and then after's, uint8 or
                float32, with values 0..255 as the network's pipeline scales them.

        Returns:
            Probabilities at the size of the pairs, float32, on :attr:`device`,
            averaged over augmentations and members.
        """
        height, width = pairs.shape[2:]
        with torch.inference_mode():
            data = self.model.data_preprocessor(dict(inputs=torch.as_tensor(pairs)), False)
            inputs = data['inputs']
            if self._tta:
                # A flip would move padding to the top or the left; see SCDTTAModel.
                inputs = inputs[..., :height, :width]
            made = self._stepper.predict_probabilities(inputs)
            return SCDProbabilities(*(part[..., :height, :width].float() for part in made))

    def read_image(self, path: str | os.PathLike[str]) -> np.ndarray:
        """Return the stored values of the bands that the network takes of an image, (H, W, B).

        Raises:
            FileNotFoundError: The image isn't there.
            ImageFormatError: It lacks a band, or can't be read.
        """
        return self._loader.read(path, os.fspath(path))

    @contextlib.contextmanager
    def whole_images(self) -> Iterator[None]:
        """Predict each image as a whole in the block, even if the config asks for windows."""
        parts = list(getattr(self.model, 'members', [self.model]))
        modes = [one.test_cfg.get('mode', 'whole') for one in parts]
        try:
            for one in parts:
                one.test_cfg['mode'] = 'whole'
            yield
        finally:
            for one, mode in zip(parts, modes, strict=True):
                one.test_cfg['mode'] = mode

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """Return the settings that the probabilities depend on, as plain values.

        Returns:
            ``model``, a list of the networks with hashes of config and weights
            (see :func:`~tfinet_mm.models.identity.member_entries`),
            ``tta``, names of the views, ``amp``, the type that they compute in here
            (or a list, where members differ), ``threshold`` and ``classes``.
        """
        cfg = self._model_cfg
        ensemble = is_ensemble(cfg)
        networks = getattr(self.model, 'members', [self.model])
        members = cfg.model.members if ensemble else [dict(config=cfg, checkpoint=self._checkpoint)]
        return dict(
            model=member_entries(members),
            tta=self._tta,
            amp=resolve_precisions(
                [getattr(one, 'autocast', None) for one in networks], self.device
            ),
            threshold=float(self.model.test_cfg['threshold']),
            classes=list(self.class_table.names),
        )

    def _load(self, pair: tuple[ImageLike, ImageLike]) -> _Loaded:
        before, after = pair
        names = [_name(before, 'the image before'), _name(after, 'the image after')]
        images = [
            self._loader.read(without_mask(image), name)
            for image, name in zip((before, after), names, strict=True)
        ]
        stem = os.path.splitext(os.path.basename(names[0]))[0]
        sample_id = 'pair' if isinstance(before, np.ndarray) else stem
        results = self._loader.combine(dict(img_path=names, sample_id=sample_id), images)
        valid = valid_pixels((before, after), self._loader.bands, results['img'].shape[:2])
        if not valid.any():
            raise ImageFormatError(
                f'no pixel is seen on both dates: {names[0]} and {names[1]} are masked everywhere '
                'in at least one band; correct the masks, or choose other bands'
            )
        results['img'] = fill_masked(results['img'], valid)
        if self._align:
            results['img'] = align_pictures(results['img'], sample_id)
        shown = split_dates(results['img'])
        for transform in self._transforms:
            results = transform(results)
        return _Loaded(results['inputs'], results['data_samples'], *shown, sample_id, valid)

    def _try_batch(
        self,
        batch: Sequence[tuple[int, _Loaded]],
        on_error: Callable[[int, Exception], object] | None,
    ) -> Iterator[tuple[int, SCDResult]]:
        """Predict a batch; where it fails, predict its pairs one at a time."""
        if on_error is None:
            yield from self._predict_batch(batch)
            return
        try:
            made = list(self._predict_batch(batch))
        except Exception as error:
            if len(batch) == 1:
                on_error(batch[0][0], error)
                return
        else:
            yield from made
            return
        for one in batch:
            yield from self._try_batch([one], on_error)

    def _predict_batch(
        self, batch: Sequence[tuple[int, _Loaded]]
    ) -> Iterator[tuple[int, SCDResult]]:
        data = dict(
            inputs=[loaded.inputs for _, loaded in batch],
            data_samples=[loaded.sample for _, loaded in batch],
        )
        with torch.no_grad():
            samples = self._stepper.test_step(data)
        for (index, loaded), sample in zip(batch, samples, strict=True):
            yield (
                index,
                SCDResult(
                    masked_where_unseen(_map(sample, PRED_CHANGE_PROB), loaded.valid),
                    (_map(sample, PRED_CHANGE) == 1) & loaded.valid,
                    _map(sample, PRED_COVER_FROM).astype(np.uint8) * loaded.valid,
                    _map(sample, PRED_COVER_TO).astype(np.uint8) * loaded.valid,
                    self.class_table,
                    loaded.before,
                    loaded.after,
                    loaded.name,
                    loaded.valid,
                ),
            )


class _Loaded:
    """Pair that waits for its batch."""

    def __init__(
        self,
        inputs: torch.Tensor,
        sample: SegDataSample,
        before: np.ndarray,
        after: np.ndarray,
        name: str,
        valid: np.ndarray,
    ) -> None:
        self.inputs = inputs
        self.sample = sample
        self.before = before
        self.after = after
        self.name = name
        self.valid = valid


def _map(sample: SegDataSample, field: str) -> np.ndarray:
    array = field_array(sample, field)
    if array is None:
        raise ValueError(f'the model predicts no {field!r}, only {sorted(sample.keys())}')
    return array


def _smaller(side: int | Sequence[int]) -> int:
    return side if isinstance(side, int) else int(min(side))


def _name(image: Any, name: str) -> str:
    if isinstance(image, np.ndarray):
        return name
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    raise TypeError(
        f'{name} is a {type(image).__name__}, expected a path or a NumPy array (height, width, '
        'bands)'
    )
