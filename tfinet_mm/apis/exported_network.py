"""Run an exported network for :class:`~tfinet_mm.apis.SCDInferencer`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tfinet_mm.apis.network import Maps, Views
from tfinet_mm.deploy.runtime import ExportedNetwork
from tfinet_mm.errors import ClassMismatchError
from tfinet_mm.io.pair_reader import PairReader
from tfinet_mm.structures import ClassTable, SCDProbabilities
from tfinet_mm.utils.fingerprints import file_hash
from tfinet_mm.utils.windows import height_width, size_and_stride


class FileNetwork:
    """Network of an exported file, a :class:`~tfinet_mm.apis.network.PairNetwork`.

    Args:
        file: The file.
        backend: See :class:`~tfinet_mm.deploy.runtime.ExportedNetwork`.
        device: ``'cpu'`` or None.
        amp: Type to compute in; False for that of the file.
        threshold: P(changed) from which a pixel counts as changed; None for that of the file.
        window: Side of sliding windows, or (height, width).
        overlap: Pixels that windows share.
        bands: Bands of each image; None for those of the file.
        value_range: Values that become 0 and 255; None for those of the file.
        class_table: Names and colours of the classes; None for those of the file.

    Raises:
        ValueError: An option is out of range, or was decided when the network was exported.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        *,
        backend: str,
        device: Any,
        amp: bool | str,
        threshold: float | None,
        window: int | Sequence[int] | None,
        overlap: int | Sequence[int] | None,
        bands: Sequence[int] | None,
        value_range: Sequence[float] | None,
        class_table: ClassTable | None,
    ) -> None:
        """See the class."""
        check_device(device)
        precision = 'auto' if amp is True else (amp or None)
        self.model = ExportedNetwork(file, backend, precision=precision)
        self.device = 'cpu'
        card = self.model.card
        if class_table is not None:
            if class_table.num_classes != card.num_classes:
                raise ClassMismatchError(
                    f'{file} has {card.num_classes} land-cover classes, the table '
                    f'{class_table.num_classes}: {", ".join(class_table.land_cover)}; use the '
                    'table the network was trained on'
                )
            self.model.class_table = class_table
        self.class_table = self.model.class_table
        self.threshold = card.threshold if threshold is None else float(threshold)
        self.reader = PairReader(
            card.bands if bands is None else bands,
            card.value_range if value_range is None else value_range,
        )
        self.network_bands = card.network_bands
        self.other_transforms: list[str] = []
        self.views: Views = (('identity',), (1.0,))
        self._windows: tuple[tuple[int, int], tuple[int, int]] | None = None
        if window is not None:
            self._windows = size_and_stride(window, overlap)
            self.window = min(self._windows[0])
            self.overlap = self.window // 4 if overlap is None else min(height_width(overlap))
            if card.size is not None and not fits_in(self._windows[0], card.size):
                raise ValueError(
                    f'{file} was exported for images of {card.size} (height, width), got '
                    f'window={window}; take {min(card.size)} or less, or export the network with '
                    '--dynamic'
                )
        else:
            self.window, self.overlap = card.window, card.overlap
            if card.size is not None:
                self._windows = size_and_stride(card.size, None)
                if self.window > min(card.size):
                    self.window, self.overlap = min(card.size), min(card.size) // 4
            if card.sliding is not None and fits_in(card.sliding[0], card.size):
                self._windows = card.sliding
        self._whole = False

    def prepare(self, image: np.ndarray, names: list[str], sample_id: str) -> np.ndarray:
        """Return a pair (H, W, 2B) as (2B, H, W)."""
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    def predict(self, prepared: Sequence[np.ndarray]) -> list[Maps]:
        """Predict pairs of one shape."""
        pairs = np.stack(prepared)
        if self._windows is None or self._whole:
            change_prob, cover_from, cover_to = self.model.maps(pairs)
        else:
            found = self.model.windowed(pairs, *self._windows)
            change_prob = found.change[:, 0]
            cover_from, cover_to = (
                (part.argmax(axis=1) + 1).astype(np.uint8) for part in found[:2]
            )
        return [
            Maps(prob, prob >= np.float32(self.threshold), *covers)
            for prob, *covers in zip(change_prob, cover_from, cover_to, strict=True)
        ]

    def predict_probabilities(self, pairs: Any) -> SCDProbabilities:
        """Predict the probabilities of pairs (N, 2B, H, W), arrays of float32."""
        values = np.asarray(pairs)
        if self._windows is None or self._whole:
            return self.model.probabilities(values)
        return self.model.windowed(values, *self._windows)

    @contextlib.contextmanager
    def whole_images(self) -> Iterator[None]:
        """Predict each image as a whole in the block."""
        before, self._whole = self._whole, True
        try:
            yield
        finally:
            self._whole = before

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Return what the probabilities depend on, see :class:`~tfinet_mm.apis.SCDInferencer`."""
        card, path = self.model.card, self.model.path
        exported = dict(
            file=path.name,
            sha256=file_hash(path),
            backend=self.model.backend,
            precision=self.model.precision,
        )
        if path.suffix.lower() == '.xml':
            exported['weights_sha256'] = file_hash(path.with_suffix('.bin'))
        calibration = card.change_calibration
        return dict(
            model=[dict(member) for member in card.model],
            exported=exported,
            tta=list(card.tta),
            amp=self.model.precision,
            threshold=self.threshold,
            classes=list(self.class_table.names),
            **({} if calibration is None else dict(calibration=dict(calibration))),
        )

    @property
    def software(self) -> dict[str, str]:
        """Return the version of the program that runs the network."""
        return self.model.software


def fits_in(window: Sequence[int], size: Sequence[int] | None) -> bool:
    """Return whether a window (height, width) is within a size; any is within an open one."""
    return size is None or all(side <= most for side, most in zip(window, size, strict=True))


def check_device(device: Any) -> None:
    """Refuse a device that exported networks don't run on.

    Raises:
        ValueError: It is neither the CPU nor None.
    """
    if device is not None and str(device) != 'cpu':
        raise ValueError(
            f'exported networks run on the CPU here, got the device {str(device)!r}; give the '
            'config and the checkpoint for a GPU'
        )


def check_options(file: Any, refused: Mapping[str, Any]) -> None:
    """Refuse options that were decided when a network was exported.

    Args:
        file: The file.
        refused: The options by name, None where one isn't given.

    Raises:
        ValueError: One is given.
    """
    reasons = dict(
        checkpoint='the file holds the weights',
        tta='the views that are averaged are part of the file: export it with or without --tta',
        cfg_options='the file holds no config: set them when the network is exported',
        calibration='whether P(changed) is calibrated is part of the file: export it with or '
        'without --no-calibration',
    )
    for name, value in refused.items():
        if value is not None:
            raise ValueError(f'{file} is an exported network and takes no {name}: {reasons[name]}')
