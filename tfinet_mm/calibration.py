"""Calibrate P(changed): turn what a network predicts into the share of pixels that changed.

A calibration is one rising function of P(changed), fitted on pairs that weren't trained on.
It is applied last, to the mean over views and members.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from tfinet_mm.errors import CalibrationError

METHODS = ('temperature', 'platt', 'isotonic')
"""Names of the kinds of function."""
PLAIN_VIEWS = ('identity',)
"""Views of a prediction without test-time augmentation."""
LEAST = 1e-7
"""Probabilities are kept this far from 0 and 1, where logits are infinite."""
LOGIT_LIMIT, LOGIT_STEP = 16.0, 0.05
NODES = round(2 * LOGIT_LIMIT / LOGIT_STEP) + 1
"""Number of logits, from -16 to 16 at equal steps, at which an isotonic function is stored."""


def logits(probability: Tensor) -> Tensor:
    """Return log(p / (1 - p)), of probabilities at least 1e-7 away from 0 and 1.

    Args:
        probability: Of any shape, floating type, 0..1.
    """
    inner = probability.clamp(LEAST, 1 - LEAST)
    return torch.log(inner) - torch.log1p(-inner)


@dataclass(frozen=True)
class Calibration:
    """A function of P(changed), with the views it holds for and its origin.

    With z the logit of P(changed), ``'temperature'`` gives sigmoid(scale * z), where 1 / scale is
    the temperature (Guo et al., On Calibration of Modern Neural Networks, ICML 2017), and
    ``'platt'`` sigmoid(scale * z + bias) (Platt 1999). ``'isotonic'`` interpolates ``values``
    between :data:`NODES` logits (Zadrozny and Elkan, KDD 2002).

    Attributes:
        method: One of :data:`METHODS`.
        views: Names of the averaged views that it was fitted with, in the order of the alphabet.
        scale: Factor of the logit, above 0.
        bias: Summand of the logit.
        values: For ``'isotonic'``, :data:`NODES` probabilities that never fall.
        origin: Facts of the fit, as plain values: ``pairs``, ``pixels``, ``changed`` (the number of
            changed pixels) and ``keys``, see :func:`tfinet_mm.evaluation.pair_keys.kept_keys`.

    Raises:
        CalibrationError: A value is missing, of the wrong kind or out of range.
    """

    method: str
    views: tuple[str, ...] = PLAIN_VIEWS
    scale: float = 1.0
    bias: float = 0.0
    values: tuple[float, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every value."""
        if self.method not in METHODS:
            raise CalibrationError(
                f'the method of a calibration is one of {", ".join(METHODS)}, got {self.method!r}'
            )
        if not self.views or not all(isinstance(name, str) for name in self.views):
            raise CalibrationError(
                f'a calibration names the views that it holds for, got {self.views!r}'
            )
        if not (_number(self.scale) and self.scale > 0 and _number(self.bias)):
            raise CalibrationError(
                'a calibration has a scale above 0 and a bias, both numbers; got '
                f'{self.scale!r} and {self.bias!r}'
            )
        values = self.values
        if self.method == 'isotonic' and not (
            len(values) == NODES
            and all(_number(value) and 0 <= value <= 1 for value in values)
            and all(a <= b for a, b in itertools.pairwise(values))
        ):
            raise CalibrationError(
                f'an isotonic calibration has {NODES} values from 0 to 1 that never fall, got '
                f'{len(values)} values: {str(values)[:40]}'
            )

    def __call__(self, probability: Tensor, values: Tensor | None = None) -> Tensor:
        """Return calibrated probabilities.

        Args:
            probability: P(changed) as predicted, of any shape, floating type.
            values: :meth:`table` on the device, for graphs that hold it as a constant.

        Returns:
            Probabilities of the same shape and type.
        """
        found = logits(probability)
        if self.method != 'isotonic':
            return torch.sigmoid(self.scale * found + self.bias)
        table = self.table(probability) if values is None else values
        place = ((found + LOGIT_LIMIT) / LOGIT_STEP).clamp(0, NODES - 1)
        below = place.floor().clamp(max=NODES - 2)
        index = below.long()
        low, high = table[index], table[index + 1]
        return low + (high - low) * (place - below)

    def table(self, like: Tensor | None = None) -> Tensor:
        """Return the values of an isotonic function, (:data:`NODES`,), empty for other methods.

        Args:
            like: A tensor of the type and on the device that they should have; by default
                float32 on the CPU.
        """
        made = torch.tensor(self.values, dtype=torch.float32 if like is None else like.dtype)
        return made if like is None else made.to(like.device)

    def record(self) -> dict[str, Any]:
        """Return all attributes as plain values, as checkpoints and JSON hold them."""
        plain = asdict(self)
        return plain | dict(
            views=list(self.views), values=list(self.values), origin=dict(self.origin)
        )

    def summary(self) -> dict[str, Any]:
        """Return what predictions depend on, in few plain values: of a table its SHA-256."""
        plain = self.record()
        keys = ('scale', 'bias') if self.method != 'isotonic' else ()
        found = {key: plain[key] for key in ('method', 'views', *keys)}
        if self.method == 'isotonic':
            found['values'] = hashlib.sha256(json.dumps(plain['values']).encode()).hexdigest()
        return found

    @classmethod
    def from_record(cls, record: Any, source: str) -> Self:
        """Read a calibration from plain values.

        Args:
            record: As :meth:`record` returns it. Keys that this version doesn't know are skipped.
            source: File that it comes from, for messages.

        Raises:
            CalibrationError: A value is missing, of the wrong kind or out of range.

        Example:
            >>> half = Calibration('temperature', scale=0.5)
            >>> Calibration.from_record(half.record(), 'a.json') == half
            True
        """
        try:
            if not isinstance(record, Mapping) or not isinstance(record.get('origin', {}), Mapping):
                raise CalibrationError(f'expected a dictionary, got {str(record)[:40]!r}')
            lists = {
                key: tuple(record[key])
                for key in ('views', 'values')
                if isinstance(record.get(key), list | tuple)
            }
            if 'method' not in record or 'views' not in lists:
                raise CalibrationError('a calibration needs a method and views')
            kept = ('scale', 'bias', 'origin')
            plain: dict[str, Any] = {key: record[key] for key in kept if key in record}
            return cls(record['method'], **plain | lists)
        except CalibrationError as error:
            raise CalibrationError(
                f'{source} holds a calibration of P(changed) that can not be used: {error}; fit '
                'it again with tools/test.py --calibrate'
            ) from None


def calibrations_of(records: Any, source: str) -> tuple[Calibration, ...]:
    """Return calibrations of a list of plain values, see :meth:`Calibration.record`."""
    if not isinstance(records, list | tuple):
        raise CalibrationError(
            f'{source} holds a {type(records).__name__}, expected a list of calibrations of '
            'P(changed); fit them again with tools/test.py --calibrate'
        )
    return tuple(Calibration.from_record(record, source) for record in records)


def views_key(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of views in the order of the alphabet; of none, those of a plain prediction.

    Example:
        >>> views_key(['rotation_90', 'identity']), views_key([])
        (('identity', 'rotation_90'), ('identity',))
    """
    return tuple(sorted(names)) or PLAIN_VIEWS


def for_views(calibrations: Sequence[Calibration], names: Sequence[str]) -> Calibration | None:
    """Return the calibration that was fitted with these views, or None."""
    key = views_key(names)
    return next((one for one in calibrations if one.views == key), None)


def replaced(calibrations: Sequence[Calibration], new: Calibration) -> tuple[Calibration, ...]:
    """Return the calibrations with a new one in place of that of the same views."""
    return (*(one for one in calibrations if one.views != new.views), new)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
