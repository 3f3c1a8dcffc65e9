"""Run necks of other packages: on one date's features, or on those of both dates."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from tfinet_mm.models.foreign import build_foreign
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import Branches, Features


@MODELS.register_module()
class OneDateNeck(BaseModule):
    """Run a neck that takes the features of one date, such as ``mmseg.FPN``, on each date.

    The detector puts necks of this kind into this class by itself. The change branch is the
    absolute difference, or, after a backbone that fuses the dates, the neck's output of the
    backbone's features of the change.

    Args:
        neck: Config of the neck, or the neck.
        level: The only level that the neck takes, as a tensor; None gives all levels, or the
            last one if the neck's ``forward`` is annotated to take a tensor.
        init_cfg: Initialisation, as everywhere in MMEngine.
    """

    def __init__(
        self,
        neck: dict[str, Any] | nn.Module,
        level: int | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.neck = neck if isinstance(neck, nn.Module) else build_foreign(neck)
        self.level: int | None = level
        if level is None and takes_one_level(self.neck):
            self.level = -1

    def forward(self, before: Features, after: Features) -> Branches:
        """Build the three branches.

        Args:
            before: Features of the first date, one (N, C, H, W) a level.
            after: Features of the second date, of the same shapes.

        Returns:
            The neck's output on each date, and its absolute difference, which is >= 0.
        """
        found = self._run([torch.cat(pair) for pair in zip(before, after, strict=True)])
        before, after = zip(*(level.chunk(2) for level in found), strict=True)
        change = tuple((b - a).abs() for b, a in zip(before, after, strict=True))
        return Branches(before, after, change)

    def on_branches(self, branches: Branches) -> Branches:
        """Run the neck on each of three branches of the same shapes."""
        before, after, change = branches[:3]
        levels = [torch.cat(three) for three in zip(before, after, change, strict=True)]
        return Branches(*zip(*(level.chunk(3) for level in self._run(levels)), strict=True))

    def _run(self, levels: list[Tensor]) -> tuple[Tensor, ...]:
        found = self.neck(levels if self.level is None else levels[self.level])
        return (found,) if isinstance(found, Tensor) else tuple(found)


def takes_one_date(neck: nn.Module) -> bool:
    """Return whether a neck is called with the features of one date, not of both."""
    parameters = _parameters(neck)
    if any(one.kind == one.VAR_POSITIONAL for one in parameters):
        # Open-CD's SequentialNeck passes all on to its first neck.
        inner: Any = getattr(neck, 'necks', None)
        return bool(inner) and takes_one_date(inner[0])
    return sum(one.default is one.empty and one.kind != one.VAR_KEYWORD for one in parameters) == 1


def takes_one_level(neck: nn.Module) -> bool:
    """Return whether a neck of one date is annotated to take a tensor, not all levels."""
    parameters = _parameters(neck)
    inner: Any = getattr(neck, 'necks', None)
    if inner and any(one.kind == one.VAR_POSITIONAL for one in parameters):
        return takes_one_level(inner[0])
    return bool(parameters) and parameters[0].annotation in (Tensor, 'Tensor', 'torch.Tensor')


def _parameters(neck: nn.Module) -> list[inspect.Parameter]:
    return list(inspect.signature(neck.forward).parameters.values())


def join_branches(features: Features | Branches, neck: nn.Module | None, pairs: int) -> Branches:
    """Build the three branches of what a backbone returns.

    Args:
        features: Levels (2N, C, H, W), before's samples and then after's; or the branches, from
            a backbone that fuses the dates.
        neck: The neck; None after a backbone that fuses the dates. A neck of both dates that
            returns levels, not branches, as Open-CD's do, gives the change.
        pairs: Their number N, which a traced graph keeps open.
    """
    if isinstance(features, Branches):
        return neck.on_branches(features) if isinstance(neck, OneDateNeck) else features
    before, after = zip(*((one[:pairs], one[pairs:]) for one in features), strict=True)
    assert neck is not None  # The detector's __init__ refuses such a config.
    found = neck(before, after)
    if isinstance(found, Branches):
        return found
    return Branches(before, after, (found,) if isinstance(found, Tensor) else tuple(found))
