"""Predict with exported networks: arrays in, arrays out, without torch.

Example:
    A file of ``tools/export.py``, on two arrays (H, W, 3) of 8 bit::

        network = ExportedNetwork('network.onnx')
        pair = np.concatenate([before, after], axis=2).transpose(2, 0, 1)
        from_, to, change = network.probabilities(pair[None])
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfinet_mm.deploy.backends import BRAIN_FLOAT, choose_backend, load
from tfinet_mm.deploy.card import INPUTS, OUTPUTS
from tfinet_mm.deploy.card_files import read_card
from tfinet_mm.errors import ImageFormatError, NotFiniteWeightsError
from tfinet_mm.structures import ClassTable, SCDProbabilities
from tfinet_mm.utils.windows import window_starts

MAPS = ('change_prob', 'land_cover_from', 'land_cover_to')
PROBABILITIES = ('prob_from', 'prob_to', 'change_prob')
LEAST = np.float32(1e-7)
"""Probabilities are kept this far from 0 and 1 where their logits are averaged."""


class ExportedNetwork:
    """Network in a file that ``tools/export.py`` wrote.

    Args:
        file: ``.onnx``, ``.xml`` (OpenVINO's IR) or ``.pt2`` (torch.export).
        backend: Program that runs it: ``'openvino'``, ``'onnxruntime'`` or ``'torch'``; by
            default OpenVINO where it is installed, else ONNX Runtime, and torch for ``.pt2``.
        precision: Type to compute in: ``'float32'``, ``'bfloat16'`` (OpenVINO alone), or
            ``'auto'`` for the faster one on this processor. By default as the file says, which
            is float32 unless it was exported for bfloat16.
        threads: Number of threads; by default that of ``OMP_NUM_THREADS``, or else all cores.

    Attributes:
        path: The file.
        card: What the file says about the network.
        class_table: Names and colours of its classes.
        backend: The program that runs it.
        precision: The type that it computes in: ``'float32'``, ``'bfloat16'``, ``'float16'`` or
            ``'int8'``.
        software: Version of the program, by its name.

    Raises:
        FileNotFoundError: There is no such file.
        ExportedFileError: It is damaged, of another program, or of a newer format.
        MissingExtraError: No program that reads it is installed.
        ValueError: The program doesn't read such files, or can't compute in the type.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        backend: str = 'auto',
        *,
        precision: str | None = None,
        threads: int | None = None,
    ) -> None:
        """See the class."""
        self.path = Path(os.path.expanduser(file))
        self.card = read_card(self.path)
        self.class_table = ClassTable(self.card.class_names, self.card.palette)
        self.backend = choose_backend(self.path, backend)
        if precision is None and self.card.precision == 'bf16' and self.backend == 'openvino':
            precision = 'auto'
        self._program = load(self.path, self.backend, precision, threads)
        exported = dict(fp16='float16', int8='int8').get(self.card.precision, 'float32')
        computes = self._program.precision
        self.precision = computes if computes == BRAIN_FLOAT else exported
        self._told = False
        self.software = {self.backend: self._program.version}

    def run(
        self, before: np.ndarray, after: np.ndarray, outputs: Sequence[str] = OUTPUTS
    ) -> dict[str, np.ndarray]:
        """Compute outputs of the file as it is, of images as it takes them.

        Args:
            before: (N, B, H, W) of the card's ``input_type``, with the values that images store.
            after: The same of the second date.
            outputs: Names out of :data:`~tfinet_mm.deploy.card.OUTPUTS`.

        Returns:
            The outputs by name.

        Raises:
            ImageFormatError: The images have another type, number of bands or size than the
                network takes.
            NotFiniteWeightsError: The network predicts NaN.
            ValueError: There is no such output.
        """
        self._check(before, after)
        if unknown := [name for name in outputs if name not in OUTPUTS]:
            raise ValueError(
                f'{self.path} has no output {unknown[0]!r}; choose from {", ".join(OUTPUTS)}'
            )
        batch = self._program.batch or len(before)
        inputs = dict(zip(INPUTS, map(np.ascontiguousarray, (before, after)), strict=True))
        made = [
            self._program.run(self._rows(inputs, start, batch), outputs)
            for start in range(0, len(before), batch)
        ]
        if len(made) == 1:
            found = made[0]
        else:
            found = {name: np.concatenate([part[name] for part in made]) for name in outputs}
        found = {name: values[: len(before)] for name, values in found.items()}
        for name in set(outputs) & set(PROBABILITIES):
            if not np.isfinite(found[name].sum(dtype=np.float32)):
                raise NotFiniteWeightsError(
                    f'{self.path} predicts NaN: numbers overflow in {self.precision}; compute in '
                    'float32, or export the network from another checkpoint'
                )
        return found

    @staticmethod
    def _rows(inputs: dict[str, np.ndarray], start: int, batch: int) -> dict[str, np.ndarray]:
        """Return a batch, in which the last pair is repeated if there are too few."""
        rows = {}
        for name, values in inputs.items():
            part = values[start : start + batch]
            lacking = batch - len(part)
            rows[name] = np.concatenate([part, *[part[-1:]] * lacking]) if lacking else part
        return rows

    def _check(self, before: np.ndarray, after: np.ndarray) -> None:
        card = self.card
        for name, images in zip(INPUTS, (before, after), strict=True):
            if not isinstance(images, np.ndarray):
                raise ImageFormatError(
                    f'{name} is a {type(images).__name__}, {self.path} takes NumPy arrays; convert '
                    'it with numpy.asarray'
                )
            fits = images.ndim == 4 and images.shape[1] == card.network_bands
            if not fits or 0 in images.shape:
                raise ImageFormatError(
                    f'{name} has the shape {images.shape}, {self.path} takes (pairs, '
                    f'{card.network_bands}, height, width)'
                )
            if images.dtype != card.input_type:
                raise ImageFormatError(
                    f'{name} holds {images.dtype}, {self.path} takes {card.input_type}; convert '
                    'it, or export the network with another --input-type'
                )
        if before.shape != after.shape:
            raise ImageFormatError(f'before is {before.shape}, after {after.shape}; give one size')
        size = before.shape[2:]
        if card.size is not None and size != card.size:
            raise ImageFormatError(
                f'the images are {size} (height, width), {self.path} takes {card.size} alone; '
                'predict windows of this size, or export the network with --dynamic'
            )
        if card.size is None and size != self.padded_size(*size):
            raise ImageFormatError(
                f'the images are {size} (height, width), {self.path} takes {card.sizes}; pad them'
            )

    def probabilities(self, pairs: np.ndarray) -> SCDProbabilities:
        """Predict probabilities of pairs of any size, each as a whole.

        Args:
            pairs: (N, 2B, H, W), before's bands and then after's, uint8 or float32, on the scale
                0..255. A size that the network doesn't take is padded with the edge's values.

        Returns:
            Arrays (N, K, H, W), (N, K, H, W) and (N, 1, H, W), float32.

        Raises:
            ImageFormatError: They have other bands or values that aren't finite, or are larger
                than a network of fixed size.
            NotFiniteWeightsError: The network predicts NaN.
        """
        found = self._run_padded(pairs, PROBABILITIES)
        return SCDProbabilities(
            found['prob_from'], found['prob_to'], found['change_prob'][:, np.newaxis]
        )

    def maps(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predict P(changed) and the land cover of both dates of pairs, each as a whole.

        Args:
            pairs: As for :meth:`probabilities`.

        Returns:
            Arrays (N, H, W): float32, and twice uint8 1..K.
        """
        found = self._run_padded(pairs, MAPS)
        return found['change_prob'], found['land_cover_from'], found['land_cover_to']

    def _run_padded(self, pairs: np.ndarray, outputs: Sequence[str]) -> dict[str, np.ndarray]:
        self._check_pairs(pairs)
        height, width = pairs.shape[2:]
        rows, columns = self.padded_size(height, width)
        values = self._stored(pairs)
        if (rows, columns) != (height, width):
            if self.card.tta and not self._told:
                self._told = True
                advice = (
                    'export the network again, which takes any size now'
                    if self.card.size_divisor > 1
                    else f'export with --size {height} {width} or --no-tta'
                )
                warnings.warn(
                    f'{self.path.name} averages views of whole images, and {height} x {width} '
                    f'pixels are padded to {rows} x {columns} first; torch scales and turns the '
                    f'image itself, so its probabilities differ. For the same, {advice}',
                    stacklevel=2,
                )
            padding = ((0, 0), (0, 0), (0, rows - height), (0, columns - width))
            values = np.pad(values, padding, mode='edge')
        bands = pairs.shape[1] // 2
        found = self.run(values[:, :bands], values[:, bands:], outputs)
        return {name: part[..., :height, :width] for name, part in found.items()}

    def _check_pairs(self, pairs: np.ndarray) -> None:
        bands = 2 * self.card.network_bands
        if pairs.ndim != 4 or pairs.shape[1] != bands or 0 in pairs.shape:
            raise ImageFormatError(
                f'the pairs have the shape {pairs.shape}, expected (pairs, {bands}, height, '
                "width), before's bands and then after's"
            )
        if pairs.dtype.kind == 'f' and not np.isfinite(pairs).all():
            raise ImageFormatError(
                'the pairs hold values that are not finite (NaN or infinity); fill them, for '
                'example with 0'
            )

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size to which an image is padded for the network.

        Raises:
            ImageFormatError: It is larger than a network of fixed size.
        """
        size, divisor, least = self.card.size, self.card.size_divisor, self.card.least_side
        if size is None:
            height, width = max(height, least), max(width, least)
            return height + -height % divisor, width + -width % divisor
        if height > size[0] or width > size[1]:
            raise ImageFormatError(
                f'the image is {height} x {width} pixels (height x width), {self.path} was '
                f'exported for {size[0]} x {size[1]}; predict it in windows of '
                f'{min(size)} pixels or less (--window), or export the network with --dynamic'
            )
        return size

    def _stored(self, pairs: np.ndarray) -> np.ndarray:
        """Return values on the scale 0..255 as the network takes them, those that files store."""
        card = self.card
        if pairs.dtype == card.input_type and card.value_range is None:
            return pairs
        values = pairs.astype(np.float32, copy=False)
        if card.value_range is not None:
            low, high = card.value_range
            values = values * np.float32((high - low) / 255) + np.float32(low)
        if card.input_type == 'float32':
            return values
        most = np.iinfo(card.input_type).max
        return np.clip(np.rint(values), 0, most).astype(card.input_type)

    def windowed(
        self, pairs: np.ndarray, window: tuple[int, int], stride: tuple[int, int]
    ) -> SCDProbabilities:
        """Predict probabilities in overlapping windows, whose logits are averaged.

        The last window of a row or column moves back inside the image; an image smaller than the
        window is one window. A network of PyTorch does the same.

        Args:
            pairs: As for :meth:`probabilities`.
            window: (height, width) in pixels.
            stride: Pixels from one window to the next, (vertical, horizontal).

        Returns:
            As :meth:`probabilities`.
        """
        self._check_pairs(pairs)
        height, width = pairs.shape[2:]
        if height <= window[0] and width <= window[1]:
            return self.probabilities(pairs)
        classes = self.card.num_classes
        sums = [np.zeros((len(pairs), k, height, width), np.float32) for k in (classes, classes, 1)]
        count = np.zeros((height, width), np.float32)
        for top in window_starts(height, window[0], stride[0]):
            for left in window_starts(width, window[1], stride[1]):
                place = (..., slice(top, top + window[0]), slice(left, left + window[1]))
                part = self.probabilities(pairs[place])
                for total, values in zip(sums, part, strict=True):
                    # Logarithms differ from logits by a constant at each pixel.
                    logits = np.log(values.clip(LEAST, 1))
                    if values.shape[1] == 1:
                        logits -= np.log((1 - values).clip(LEAST, 1))
                    total[place] += logits
                count[place[1:]] += 1
        cover_from, cover_to, change = (total / count for total in sums)
        return SCDProbabilities(_softmax(cover_from), _softmax(cover_to), 1 / (1 + np.exp(-change)))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
