"""Run a network of PyTorch for :class:`~tfinet_mm.apis.SCDInferencer`."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample

from tfinet_mm.apis.loading import (
    ConfigLike,
    build_model,
    build_pipeline,
    find_classes,
    find_window,
    read_config,
    set_windows,
)
from tfinet_mm.apis.network import Maps, Views
from tfinet_mm.apis.views import Augmentation, find_augmentation
from tfinet_mm.calibration import Calibration
from tfinet_mm.datasets.transforms.loading import loaded
from tfinet_mm.engine.testing import is_ensemble
from tfinet_mm.io.pair_reader import PairReader
from tfinet_mm.models.detectors import SCDTTAModel
from tfinet_mm.models.detectors.augmentation import view_names
from tfinet_mm.models.detectors.calibrated import active_calibration
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
from tfinet_mm.visualization import field_array


class Packed(NamedTuple):
    """Pair as the test pipeline packs it."""

    inputs: torch.Tensor
    sample: SegDataSample

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the pair, (2B, H, W)."""
        return tuple(self.inputs.shape)


class TorchNetwork:
    """Network of a config and a checkpoint, a :class:`~tfinet_mm.apis.network.PairNetwork`.

    Args:
        config: See :class:`~tfinet_mm.apis.SCDInferencer`, as for all others.
        checkpoint: Weights.
        device: Name of a device.
        tta: Views that are averaged.
        amp: Type to compute in.
        threshold: P(changed) from which a pixel counts as changed.
        calibration: Calibrate P(changed) where the weights have a calibration.
        window: Side of sliding windows, or (height, width).
        overlap: Pixels that windows share.
        bands: Bands of each image.
        value_range: Values that become 0 and 255.
        class_table: Names and colours of the classes.
        cfg_options: Values that replace the config's.
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
        calibration: bool | None = None,
        window: int | Sequence[int] | None = None,
        overlap: int | Sequence[int] | None = None,
        bands: Sequence[int] | None = None,
        value_range: Sequence[float] | None = None,
        class_table: ClassTable | None = None,
        cfg_options: Mapping[str, Any] | None = None,
    ) -> None:
        """See the class."""
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
        if calibration is not None:
            self.model.test_cfg['calibration'] = calibration
        self.class_table = find_classes(cfg, self.model.num_classes, class_table, named)
        self.window = find_window(cfg, self.model) if window is None else _smaller(window)
        self.overlap = self.window // 4 if overlap is None else _smaller(overlap)
        reader, self._transforms = build_pipeline(cfg, bands, value_range)
        self.reader: PairReader = reader
        self.bands, self.value_range = reader.bands, reader.value_range
        self.network_bands = network_bands(self._model_cfg)
        names = [type(transform).__name__ for transform in self._transforms]
        self.other_transforms = [name for name in names if name != 'PackPairInputs']
        self.model.to(self.device)
        self._stepper: Any = self.model
        augmentation = find_augmentation(cfg, tta)
        self._tta: list[str] = []
        self.views: Views = (('identity',), (1.0,))
        if augmentation is not None:
            self._stepper = SCDTTAModel(self.model, **augmentation)
            self.views = self._stepper.transforms, self._stepper.scales
            self._tta = view_names(self._stepper.transforms, self._stepper.scales)

    def read_image(self, path: str | os.PathLike[str]) -> np.ndarray:
        """Return the stored values of the bands that the network takes of an image, (H, W, B).

        Raises:
            FileNotFoundError: The image isn't there.
            ImageFormatError: It lacks a band, or can't be read.
        """
        return self.reader.read(path, os.fspath(path))

    def prepare(self, image: np.ndarray, names: list[str], sample_id: str) -> Packed:
        """Run the transforms of the test pipeline after the one that loads images."""
        results = dict(img_path=names, sample_id=sample_id) | loaded(image, self.reader.bands)
        for transform in self._transforms:
            results = transform(results)
        return Packed(results['inputs'], results['data_samples'])

    def predict(self, prepared: Sequence[Packed]) -> list[Maps]:
        """Predict pairs of one shape."""
        data = dict(
            inputs=[one.inputs for one in prepared], data_samples=[one.sample for one in prepared]
        )
        with torch.no_grad():
            samples = self._stepper.test_step(data)
        return [
            Maps(
                _map(sample, PRED_CHANGE_PROB),
                _map(sample, PRED_CHANGE) == 1,
                _map(sample, PRED_COVER_FROM).astype(np.uint8),
                _map(sample, PRED_COVER_TO).astype(np.uint8),
            )
            for sample in samples
        ]

    def predict_probabilities(self, pairs: np.ndarray | torch.Tensor) -> SCDProbabilities:
        """Predict the probabilities of pairs (N, 2B, H, W), float32 on :attr:`device`."""
        height, width = pairs.shape[2:]
        with torch.inference_mode():
            data = self.model.data_preprocessor(dict(inputs=torch.as_tensor(pairs)), False)
            inputs = data['inputs']
            if self._tta:
                # A flip would move padding to the top or the left; see SCDTTAModel.
                inputs = inputs[..., :height, :width]
            made = self._stepper.predict_probabilities(inputs)
            cover_from, cover_to, change = (part[..., :height, :width].float() for part in made)
            calibration = self.calibration
            change = change if calibration is None else calibration(change)
            return SCDProbabilities(cover_from, cover_to, change)

    @property
    def calibration(self) -> Calibration | None:
        """Return the calibration of P(changed) that applies, None without one."""
        return active_calibration(self.model, view_names(*self.views))

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
        """Return what the probabilities depend on, see :class:`~tfinet_mm.apis.SCDInferencer`."""
        cfg = self._model_cfg
        ensemble = is_ensemble(cfg)
        networks = getattr(self.model, 'members', [self.model])
        calibration = self.calibration
        members = cfg.model.members if ensemble else [dict(config=cfg, checkpoint=self._checkpoint)]
        return dict(
            model=member_entries(members),
            tta=self._tta,
            amp=resolve_precisions(
                [getattr(one, 'autocast', None) for one in networks], self.device
            ),
            threshold=float(self.model.test_cfg['threshold']),
            classes=list(self.class_table.names),
            **({} if calibration is None else dict(calibration=calibration.summary())),
        )

    @property
    def software(self) -> dict[str, str]:
        """Return the version of torch."""
        return dict(torch=str(torch.__version__))


def _map(sample: SegDataSample, field: str) -> np.ndarray:
    array = field_array(sample, field)
    if array is None:
        raise ValueError(f'the model predicts no {field!r}, only {sorted(sample.keys())}')
    return array


def _smaller(side: int | Sequence[int]) -> int:
    return side if isinstance(side, int) else int(min(side))
