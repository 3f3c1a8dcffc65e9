"""Define what an exported network says about itself.

The card is one JSON text inside the exported file: in ONNX the metadata property ``tfinet_mm``, in
OpenVINO's IR the runtime information of this name, in a ``.pt2`` archive the file
``tfinet_mm.json``. Reading it needs neither torch nor a runtime.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from tfinet_mm.errors import ExportedFileError
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.version import __version__

FORMAT_VERSION = 2
"""Number of this format; files of a larger number are refused.

From 2 on, graphs of open size take any, where those of 1 take multiples of a divisor.
"""
CARD_KEY = 'tfinet_mm'
"""Key of the card in ONNX's metadata and in OpenVINO's runtime information."""
WEIGHTS_KEY = 'tfinet_mm_weights'
"""Key of the SHA-256 of the ``.bin`` in OpenVINO's runtime information."""
CARD_FILE = 'tfinet_mm.json'
"""Name of the card in a ``.pt2`` archive."""
INPUTS = ('before', 'after')
"""Names of the inputs, each (N, B, H, W) of the card's ``input_type``."""
OUTPUTS = ('prob_from', 'prob_to', 'change_prob', 'change', 'land_cover_from', 'land_cover_to')
"""Names of the outputs in their order.

``prob_from`` and ``prob_to`` are (N, K, H, W) float32, ``change_prob`` (N, H, W) float32,
``change`` (N, H, W) uint8 of 0 and 1, the land cover (N, H, W) uint8 of 1..K.
"""
THRESHOLD = 'threshold'
"""Name of the constant in the graph that P(changed) is compared with."""
INPUT_TYPES = ('uint8', 'uint16', 'float32')
PRECISIONS = ('fp32', 'fp16', 'bf16', 'int8')


@dataclass(frozen=True)
class ExportCard:
    """Facts about an exported network that using it needs.

    Attributes:
        name: Name of the network.
        class_names: Names of the K + 1 classes, the first that of unchanged pixels.
        palette: Their RGB colours.
        threshold: P(changed) from which a pixel counts as changed, as it was exported.
        bands: Bands to take of each image, counted from 1; None for those of plain RGB.
        value_range: (low, high), the stored values that the network scales to 0 and 255; None
            where it takes values 0..255 as they are.
        network_bands: Number B of bands of each date.
        window: Side of the windows that suit large images, in pixels.
        overlap: Pixels that neighbouring windows share.
        sliding: Windows in which pictures are predicted as the config asks for it
            (``test_cfg.mode='slide'``): (height, width) of one, and (vertical, horizontal) pixels
            to the next; None for pictures as a whole.
        size_divisor: Height and width of a dynamic network have to be multiples of it. It is 1 in
            files of this version, which pad by themselves.
        least_side: Height and width of a dynamic network have to be this many pixels at least.
        size: Fixed (height, width), or None for a dynamic size.
        input_type: Type of the inputs, one of :data:`INPUT_TYPES`.
        precision: Type that the network computes in, one of :data:`PRECISIONS`. ``'bf16'`` is a
            hint to the runtime, the file itself holds float32.
        tta: Names of the views that are averaged within the network; empty for none.
        resolution: Metres a pixel that suit the network, or None where nothing states them.
        model: For each network averaged, name and hashes of config and weights, as in
            ``SCDInferencer.settings['model']``.
        trained_roles: Roles that were trained: ``'land_cover'`` and ``'change'``, or the latter
            alone.
        calibration: For int8, ``data`` (its origin), ``pairs`` (their number), ``agreement``
            (percent of their pixels that keep the label of float32, by the name of the map),
            ``layers`` (number of convolutions) and ``float_layers`` (those in float32); otherwise
            None.
        change_calibration: Calibration of P(changed) that the graph applies, as
            :meth:`tfinet_mm.calibration.Calibration.summary` gives it; None for none.
        software: Version of this package that wrote the file.
        format_version: Number of the format.

    Raises:
        ExportedFileError: A value is of the wrong kind or contradicts another.
    """

    name: str
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    threshold: float
    network_bands: int
    window: int
    overlap: int
    size_divisor: int = 1
    least_side: int = 1
    bands: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    size: tuple[int, int] | None = None
    sliding: tuple[tuple[int, int], tuple[int, int]] | None = None
    input_type: str = 'uint8'
    precision: str = 'fp32'
    tta: tuple[str, ...] = ()
    resolution: float | None = None
    model: tuple[Mapping[str, Any], ...] = ()
    trained_roles: tuple[str, ...] = ('land_cover', 'change')
    calibration: Mapping[str, Any] | None = None
    change_calibration: Mapping[str, Any] | None = None
    software: str = __version__
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Check every value."""
        for key, (fits, expected) in RULES.items():
            if not fits(value := getattr(self, key)):
                raise ExportedFileError(
                    f'{key} of an exported network is {expected}, got {value!r}; export it again'
                )
        if self.overlap >= self.window:
            raise ExportedFileError(
                f'windows of an exported network overlap by less than their side, {self.window}, '
                f'got {self.overlap}; export it again'
            )
        if len(self.palette) != len(self.class_names):
            raise ExportedFileError(
                f'an exported network needs a colour for each class, got {len(self.class_names)} '
                f'classes and {len(self.palette)} colours; export it again'
            )

    @property
    def sizes(self) -> str:
        """Return which heights and widths the network takes, in words."""
        if self.size is not None:
            return f'{self.size[0]} x {self.size[1]} pixels'
        if self.size_divisor > 1:
            return f'multiples of {self.size_divisor} pixels'
        return 'any size' if self.least_side == 1 else f'any size from {self.least_side} pixels on'

    @property
    def num_classes(self) -> int:
        """Return the number K of land-cover classes."""
        return len(self.class_names) - 1

    def to_json(self) -> str:
        """Return the card as one JSON text."""
        values = dataclasses.asdict(self)
        names, colours = values.pop('class_names'), values.pop('palette')
        classes = [
            dict(name=name, colour=list(colour))
            for name, colour in zip(names, colours, strict=True)
        ]
        first = dict(format_version=values.pop('format_version'), software=values.pop('software'))
        return json_text(dict(**first, name=values.pop('name'), classes=classes, **values), None)

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> Self:
        """Read a card.

        Args:
            text: The JSON text. Keys that this version doesn't know are skipped.
            source: The file that it comes from, for messages.

        Raises:
            ExportedFileError: It is no such text, of a newer format, or lacks something.

        Example:
            >>> card = ExportCard('a', ('unchanged', 'water'), ((0,) * 3, (0, 0, 9)), 0.5, 3, 64,
            ...                   16, 32)
            >>> ExportCard.from_json(card.to_json(), 'a.onnx') == card
            True
        """
        try:
            stored = json.loads(text)
        except ValueError as error:
            raise ExportedFileError(
                f'{source} describes itself in a text that is no JSON ({error}); export it again'
            ) from None
        version: Any = stored.get('format_version') if isinstance(stored, dict) else None
        if not _whole(version) or version < 1:
            raise ExportedFileError(
                f'{source} states no format_version, expected {FORMAT_VERSION}; export the network '
                'with tools/export.py'
            )
        if version > FORMAT_VERSION:
            raise ExportedFileError(
                f'{source} has format_version {version}, this installation reads up to '
                f'{FORMAT_VERSION}; upgrade tfinet-mm ({stored.get("software", "newer")} wrote '
                'the file), or export it again'
            )
        classes = stored.pop('classes', None)
        if not isinstance(classes, list) or not all(isinstance(one, dict) for one in classes):
            raise ExportedFileError(f'{source} names no classes; export it again')
        stored['class_names'] = [one.get('name') for one in classes]
        stored['palette'] = [one.get('colour') for one in classes]
        known = {field.name: field for field in dataclasses.fields(cls)}
        needed = [n for n, one in known.items() if one.default is dataclasses.MISSING]
        if missing := [name for name in needed if name not in stored]:
            raise ExportedFileError(f'{source} does not state its {missing[0]}; export it again')
        values = {key: _tuples(value) for key, value in stored.items() if key in known}
        try:
            return cls(**values)
        except ExportedFileError as error:
            raise ExportedFileError(f'{source}: {error}') from None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _list(fits: Callable[[Any], bool], *lengths: int) -> Callable[[Any], bool]:
    def rule(value: Any) -> bool:
        of_length = isinstance(value, tuple) and (not lengths or len(value) in lengths)
        return of_length and all(map(fits, value))

    return rule


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _colour(value: Any) -> bool:
    return _list(lambda part: _whole(part) and part <= 255, 3)(value)


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    'name': (_text, 'a text'),
    'class_names': (
        lambda value: _list(_text)(value) and len(value) > 1,
        'a list of two names or more, that of unchanged pixels first',
    ),
    'palette': (_list(_colour), 'a list of RGB colours of three numbers 0 to 255'),
    'threshold': (lambda value: _number(value) and 0 <= value <= 1, 'a number from 0 to 1'),
    'network_bands': (lambda value: _whole(value, 1), 'a whole number above 0'),
    'window': (lambda value: _whole(value, 1), 'a whole number above 0'),
    'overlap': (_whole, 'a whole number from 0 on'),
    'size_divisor': (lambda value: _whole(value, 1), 'a whole number above 0'),
    'least_side': (lambda value: _whole(value, 1), 'a whole number above 0'),
    'bands': (
        _or_none(_list(lambda part: _whole(part, 1))),
        'a list of numbers from 1 on, or null',
    ),
    'value_range': (
        _or_none(lambda value: _list(_number, 2)(value) and value[0] < value[1]),
        'two numbers, the second larger, or null',
    ),
    'size': (
        _or_none(_list(lambda part: _whole(part, 1), 2)),
        'two whole numbers above 0, or null',
    ),
    'sliding': (
        _or_none(_list(_list(lambda part: _whole(part, 1), 2), 2)),
        'a window and its stride, two whole numbers above 0 each, or null',
    ),
    'input_type': (lambda value: value in INPUT_TYPES, f'one of {", ".join(INPUT_TYPES)}'),
    'precision': (lambda value: value in PRECISIONS, f'one of {", ".join(PRECISIONS)}'),
    'tta': (_list(_text), 'a list of names'),
    'resolution': (
        _or_none(lambda value: _number(value) and value > 0),
        'a length above 0, or null',
    ),
    'model': (_list(_mapping), 'a list of dictionaries'),
    'trained_roles': (_list(_text), 'a list of roles'),
    'calibration': (_or_none(_mapping), 'a dictionary, or null'),
    'change_calibration': (_or_none(_mapping), 'a dictionary, or null'),
    'software': (_text, 'a version'),
}
"""Rule of each value and its words for messages."""
