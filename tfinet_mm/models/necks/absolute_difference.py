"""The plain neck: the change branch is the absolute difference of the features."""

from __future__ import annotations

from mmengine.model import BaseModule

from tfinet_mm.registry import MODELS
from tfinet_mm.structures import Branches, Features


@MODELS.register_module()
class AbsoluteDifference(BaseModule):
    """Pass both dates on unchanged, with ``|before - after|`` as the change branch.

    This is the neck of the SenseEarth 2020 winner's networks. It has no weights.
    """

    keeps_channels = True
    """Every branch has the channels of the backbone."""

    def forward(self, before: Features, after: Features) -> Branches:
        """Build the three branches.

        Args:
            before: Features of the first date, one (N, C, H, W) a level.
            after: Features of the second date, of the same shapes.

        Returns:
            The branches; ``change`` has the shapes of the inputs and values
            >= 0, ``difference`` is None.
        """
        change = tuple((b - a).abs() for b, a in zip(before, after, strict=True))
        return Branches(tuple(before), tuple(after), change)
