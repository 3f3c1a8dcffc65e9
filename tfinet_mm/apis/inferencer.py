"""Predict pairs of images with a trained model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import numpy as np

from tfinet_mm.apis.aligned_pictures import align_pictures
from tfinet_mm.apis.masked_arrays import (
    fill_dates,
    fill_masked,
    masked_where_unseen,
    valid_pixels,
    without_mask,
)
from tfinet_mm.apis.network import PairNetwork
from tfinet_mm.apis.network_files import is_exported
from tfinet_mm.apis.result import SCDResult
from tfinet_mm.deploy.backends import BACKENDS
from tfinet_mm.errors import ImageFormatError
from tfinet_mm.io.images import split_dates
from tfinet_mm.io.stored_values import check_same_turn
from tfinet_mm.structures import ClassTable, SCDProbabilities
from tfinet_mm.utils.check_env import explain_missing
from tfinet_mm.utils.dist import is_first_rank
from tfinet_mm.utils.prefetch import map_ahead
from tfinet_mm.utils.windows import height_width, warn_of_small_windows

if TYPE_CHECKING:
    import torch

    from tfinet_mm.apis.loading import ConfigLike
    from tfinet_mm.apis.views import Augmentation

ImageLike: TypeAlias = str | os.PathLike[str] | np.ndarray
"""An image: a file, or an array (H, W, B), or (H, W) for one band."""

_Before = TypeVar('_Before', bound=ImageLike)
_After = TypeVar('_After', bound=ImageLike)


class SCDInferencer:
    """Trained network that takes pairs of images and needs no label.

    It predicts the same as ``tools/test.py``, with the same test pipeline
    (without labels), the same windows and the same threshold.

    Args:
        config: A config, as file, dictionary or :class:`~mmengine.config.Config`;
            that of an ensemble needs no checkpoint. Or a checkpoint that carries
            its config, which is read without running it. Or an exported network (``.onnx``,
            ``.xml`` or ``.pt2``), which needs no torch. Without config and
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
            the model's own. It applies to the calibrated P(changed).
        calibration: False for P(changed) as the network predicts it. By default it is
            calibrated where the weights have a calibration for these views.
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
        backend: Program that runs the network: ``'torch'``, ``'openvino'`` or
            ``'onnxruntime'``. By default torch for a config, and for an exported network the
            first that is installed, see :class:`~tfinet_mm.deploy.runtime.ExportedNetwork`. A
            config with another one is exported once, see
            :func:`~tfinet_mm.apis.export_cache.cached_export`.
        compile: Run a network of torch compiled: ``'on'``, ``'off'`` or ``'auto'``; by default
            as its config says. It pays for many windows of one size.

    Attributes:
        model: The network; for an exported one an
            :class:`~tfinet_mm.deploy.runtime.ExportedNetwork`.
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
        calibration: bool | None = None,
        window: int | Sequence[int] | None = None,
        overlap: int | Sequence[int] | None = None,
        batch_size: int = 1,
        bands: Sequence[int] | None = None,
        value_range: Sequence[float] | None = None,
        class_table: ClassTable | None = None,
        cfg_options: Mapping[str, Any] | None = None,
        align: bool = False,
        backend: str = 'auto',
        compile: str | None = None,
    ) -> None:
        """See the class."""
        if batch_size < 1:
            raise ValueError(f'batch_size must be 1 or more, got {batch_size}')
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f'threshold is a probability from 0 to 1, got {threshold}')
        if overlap is not None and window is None:
            raise ValueError('overlap is that of sliding windows; give window as well')
        self.batch_size = batch_size
        self._align = align
        self._network = _build(
            config,
            checkpoint,
            device,
            tta=tta,
            amp=amp,
            threshold=threshold,
            calibration=calibration,
            window=window,
            overlap=overlap,
            bands=bands,
            value_range=value_range,
            class_table=class_table,
            cfg_options=cfg_options,
            backend=backend,
            compile=compile,
        )
        if window is not None:
            warn_of_small_windows(height_width(window))
        network = self._network
        self.model, self.device = network.model, network.device
        self.class_table = network.class_table
        self.window, self.overlap = network.window, network.overlap
        self.bands, self.value_range = network.reader.bands, network.reader.value_range
        self.network_bands = network.network_bands
        self.other_transforms, self.views = network.other_transforms, network.views

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
            batch = waiting.setdefault(tuple(loaded.prepared.shape), [])
            batch.append((index, loaded))
            if len(batch) == self.batch_size:
                yield from self._try_batch(waiting.pop(tuple(loaded.prepared.shape)), on_error)
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
        return self._network.predict_probabilities(pairs)

    def whole_images(self) -> AbstractContextManager[None]:
        """Predict each image as a whole in the block, even if the config asks for windows."""
        return self._network.whole_images()

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings that the probabilities depend on, as plain values.

        Returns:
            ``model``, a list of the networks with hashes of config and weights
            (see :func:`~tfinet_mm.models.identity.member_entries`),
            ``tta``, names of the views, ``amp``, the type that they compute in here
            (or a list, where members differ), ``threshold``, ``classes``, and ``calibration``
            where P(changed) is calibrated.
        """
        return self._network.settings

    @property
    def software(self) -> dict[str, str]:
        """Return the versions of the programs that run the network, by name."""
        return self._network.software

    def _load(self, pair: tuple[ImageLike, ImageLike]) -> _Loaded:
        before, after = pair
        reader = self._network.reader
        names = [_name(before, 'the image before'), _name(after, 'the image after')]
        images = [
            reader.read(without_mask(image), name)
            for image, name in zip((before, after), names, strict=True)
        ]
        check_same_turn(pair)
        stem = os.path.splitext(os.path.basename(names[0]))[0]
        sample_id = 'pair' if isinstance(before, np.ndarray) else stem
        image = reader.join(images, names)
        size = image.shape[:2]
        seen = [valid_pixels([one], reader.bands, size) for one in (before, after)]
        if self._align and (seen[0] & seen[1]).any():
            image, seen[1] = align_pictures(fill_dates(image, seen), (seen[0], seen[1]), sample_id)
        valid = seen[0] & seen[1]
        if not valid.any():
            raise ImageFormatError(
                f'no pixel is seen on both dates: {names[0]} and {names[1]} are masked everywhere '
                'in at least one band; correct the masks, or choose other bands'
            )
        image = fill_masked(image, valid)
        shown = split_dates(image)
        prepared = self._network.prepare(image, names, sample_id)
        return _Loaded(prepared, *shown, sample_id, valid)

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
        predicted = self._network.predict([loaded.prepared for _, loaded in batch])
        for (index, loaded), maps in zip(batch, predicted, strict=True):
            yield (
                index,
                SCDResult(
                    masked_where_unseen(maps.change_prob, loaded.valid),
                    maps.change & loaded.valid,
                    maps.land_cover_from * loaded.valid,
                    maps.land_cover_to * loaded.valid,
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
        prepared: Any,
        before: np.ndarray,
        after: np.ndarray,
        name: str,
        valid: np.ndarray,
    ) -> None:
        self.prepared = prepared
        self.before = before
        self.after = after
        self.name = name
        self.valid = valid


def _name(image: Any, name: str) -> str:
    if isinstance(image, np.ndarray):
        return name
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    raise TypeError(
        f'{name} is a {type(image).__name__}, expected a path or a NumPy array (height, width, '
        'bands)'
    )


def _build(
    config: ConfigLike | None,
    checkpoint: str | os.PathLike[str] | None,
    device: str | torch.device | None,
    *,
    backend: str,
    compile: str | None,
    tta: Augmentation,
    calibration: bool | None,
    cfg_options: Mapping[str, Any] | None,
    **options: Any,
) -> PairNetwork:
    """Return the network, and import no more than it needs."""
    if backend not in ('auto', *BACKENDS):
        raise ValueError(
            f'the backend must be auto or one of {", ".join(BACKENDS)}, got {backend!r}'
        )
    exported = config if is_exported(config) else None
    if compile is not None and (exported is not None or backend not in ('auto', 'torch')):
        raise ValueError(
            f'--compile {compile} is an option of torch, and the network runs in another program; '
            'leave --compile out'
        )
    if exported is not None:
        refused = dict(
            checkpoint=checkpoint, tta=tta, calibration=calibration, cfg_options=cfg_options
        )
        return _exported(exported, device, backend, refused, options)
    with explain_missing():
        if backend in ('auto', 'torch'):
            from tfinet_mm.apis.torch_network import TorchNetwork
            from tfinet_mm.models.detectors.compiled import set_compile

            network = TorchNetwork(
                config,
                checkpoint,
                device,
                tta=tta,
                calibration=calibration,
                cfg_options=cfg_options,
                **options,
            )
            if compile is not None:
                set_compile(network.model, compile)
            return network
        from tfinet_mm.apis.export_cache import cached_export

        exported = cached_export(config, checkpoint, tta, calibration, cfg_options)
    return _exported(exported, device, backend, {}, options)


def _exported(
    file: str | os.PathLike[str],
    device: Any,
    backend: str,
    refused: Mapping[str, Any],
    options: Mapping[str, Any],
) -> PairNetwork:
    from tfinet_mm.apis.exported_network import FileNetwork, check_options

    check_options(file, refused)
    network = FileNetwork(file, backend=backend, device=device, **options)
    if is_first_rank():
        program, version = next(iter(network.software.items()))
        print(f'Predicting with {program} {version} in {network.model.precision}')
    return network
