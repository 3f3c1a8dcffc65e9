"""Interface of whatever predicts the windows of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from tfinet_mm.structures import ClassTable, SCDProbabilities


class ScenePredictor(Protocol):
    """A network that is ready to predict; :class:`~tfinet_mm.apis.SCDInferencer` is one."""

    @property
    def class_table(self) -> ClassTable:
        """Names and colours of the K + 1 classes."""
        ...

    @property
    def network_bands(self) -> int:
        """Bands B of each date that the network takes."""
        ...

    @property
    def bands(self) -> Any:
        """Bands of a file by default, counted from 1; None for the first."""
        ...

    @property
    def value_range(self) -> Any:
        """Values of a file that become 0 and 255 by default; None where no one said."""
        ...

    @property
    def window(self) -> int:
        """Side of a window in pixels by default."""
        ...

    @property
    def overlap(self) -> int:
        """Pixels that windows share by default."""
        ...

    @property
    def batch_size(self) -> int:
        """Windows that go through the network together by default."""
        ...

    @property
    def other_transforms(self) -> Sequence[str]:
        """Steps of the network's pipeline that a scene would leave out."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides about its predictions, for JSON; with ``threshold``."""
        ...

    def whole_images(self) -> AbstractContextManager[None]:
        """Take each image as a whole in the block, whatever the config says of windows."""
        ...

    def predict_probabilities(self, pairs: np.ndarray) -> SCDProbabilities:
        """Predict windows.

        Args:
            pairs: (N, 2B, H, W), before's bands and then after's.

        Returns:
            Probabilities of both land covers and of change at the size of the windows.
        """
        ...
