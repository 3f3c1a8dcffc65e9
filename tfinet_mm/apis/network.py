"""Interface between :class:`~tfinet_mm.apis.SCDInferencer` and the programs that run networks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from tfinet_mm.io.pair_reader import PairReader
from tfinet_mm.structures import ClassTable, SCDProbabilities

Views: TypeAlias = tuple[tuple[str, ...], tuple[float, ...]]
"""Names of transforms, and scales, that predictions are averaged over."""


class Maps(NamedTuple):
    """Prediction for one pair, maps (H, W) of the size of its images.

    Attributes:
        change_prob: P(changed), float32, 0..1.
        change: True where it reached the threshold.
        land_cover_from: Land cover before, uint8 1..K.
        land_cover_to: Land cover after, uint8 1..K.
    """

    change_prob: np.ndarray
    change: np.ndarray
    land_cover_from: np.ndarray
    land_cover_to: np.ndarray


class PairNetwork(Protocol):
    """Network that is ready to predict pairs.

    Attributes:
        model: The network as its program holds it.
        device: Its device.
        class_table: Names and colours of the classes.
        reader: Reads the images of a pair.
        window: Default side of the windows of scenes in pixels.
        overlap: Pixels that windows of scenes share.
        network_bands: Bands of each date that the network takes.
        other_transforms: Names of the steps besides loading and packing.
        views: Transforms and scales that the inferencer itself averages over.
    """

    model: Any
    device: Any
    class_table: ClassTable
    reader: PairReader
    window: int
    overlap: int
    network_bands: int
    other_transforms: list[str]
    views: Views

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings that the probabilities depend on, as plain values."""
        ...

    @property
    def software(self) -> dict[str, str]:
        """Return the versions of the programs that run it, by name."""
        ...

    def prepare(self, image: np.ndarray, names: list[str], sample_id: str) -> Any:
        """Prepare a pair, in the thread that reads it.

        Args:
            image: (H, W, 2B) as the reader joins them.
            names: Names of both images.
            sample_id: Name of the pair.

        Returns:
            An object with ``shape``; those of one shape can be predicted together.
        """
        ...

    def predict(self, prepared: Sequence[Any]) -> list[Maps]:
        """Predict pairs of one shape."""
        ...

    def predict_probabilities(self, pairs: Any) -> SCDProbabilities:
        """Predict the probabilities of pairs (N, 2B, H, W), values 0..255, at their size."""
        ...

    def whole_images(self) -> AbstractContextManager[None]:
        """Predict each image as a whole in the block."""
        ...
