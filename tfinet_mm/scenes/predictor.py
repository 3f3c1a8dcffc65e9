"""Interface of a network that predicts the windows of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from tfinet_mm.structures import ClassTable, SCDProbabilities


class ScenePredictor(Protocol):
    """Network that is ready to predict, such as :class:`~tfinet_mm.apis.SCDInferencer`."""

    @property
    def class_table(self) -> ClassTable:
        """Return names and colours of the K + 1 classes."""
        ...

    @property
    def network_bands(self) -> int:
        """Return the number of bands B of each date that the network takes."""
        ...

    @property
    def bands(self) -> Any:
        """Return the bands of a file by default, counted from 1; None for the first."""
        ...

    @property
    def value_range(self) -> Any:
        """Return the values of a file that become 0 and 255 by default; None where unstated."""
        ...

    @property
    def window(self) -> int:
        """Return the default side of a window in pixels."""
        ...

    @property
    def overlap(self) -> int:
        """Return the number of pixels that windows share by default."""
        ...

    @property
    def batch_size(self) -> int:
        """Return the number of windows that go through the network together by default."""
        ...

    @property
    def other_transforms(self) -> Sequence[str]:
        """Return the steps of the network's pipeline that a scene would leave out."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Return everything that its predictions depend on, for JSON; with ``threshold``."""
        ...

    @property
    def software(self) -> dict[str, str]:
        """Return the versions of the programs that run the network, by name."""
        ...

    def whole_images(self) -> AbstractContextManager[None]:
        """Predict each image as a whole in the block, even if the config asks for windows."""
        ...

    def predict_probabilities(self, pairs: np.ndarray) -> SCDProbabilities:
        """Predict windows.

        Args:
            pairs: (N, 2B, H, W), before's bands and then after's.

        Returns:
            Probabilities of both land covers and of change at the size of the windows, float32.
            They are used while the next batch is predicted, which must not overwrite them.
        """
        ...
