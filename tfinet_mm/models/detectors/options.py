"""Check options of a detector, in the words of the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfinet_mm.models.detectors.calibrated import check_switch
from tfinet_mm.models.detectors.shapes import check_threshold
from tfinet_mm.utils.config.values import is_whole
from tfinet_mm.utils.near_names import hint

TEST_KEYS = ('mode', 'threshold', 'crop_size', 'stride', 'calibration')


def checked_test_cfg(test_cfg: Any) -> dict[str, Any]:
    """Return the options of testing, with defaults.

    Args:
        test_cfg: See :class:`~tfinet_mm.models.detectors.SemanticChangeDetector`.

    Raises:
        ValueError: A key is unknown, or a value out of range.
    """
    if test_cfg is not None and not isinstance(test_cfg, Mapping):
        raise ValueError(f'test_cfg must be a dictionary, got {test_cfg!r}')
    checked = {'mode': 'whole', 'threshold': 0.5, **(test_cfg or {})}
    if unknown := [key for key in checked if key not in TEST_KEYS]:
        raise ValueError(
            f'test_cfg has no key {unknown[0]!r}, its keys are {", ".join(TEST_KEYS)}'
            f'{hint(str(unknown[0]), TEST_KEYS)}'
        )
    check_threshold(checked['threshold'], 'test_cfg.threshold')
    check_switch(checked.get('calibration'), 'test_cfg.calibration')
    if checked['mode'] not in ('whole', 'slide'):
        raise ValueError(f"test_cfg.mode must be 'whole' or 'slide', got {checked['mode']!r}")
    if checked['mode'] == 'slide':
        for key in ('crop_size', 'stride'):
            value = checked.get(key)
            if not _is_size(value):
                raise ValueError(
                    f'sliding windows need test_cfg.{key}=(height, width), got {value}'
                )
        if any(s > c for s, c in zip(checked['stride'], checked['crop_size'], strict=True)):
            raise ValueError(
                f'the stride {checked["stride"]} must not exceed the window '
                f'{checked["crop_size"]}, or pixels between the windows get no prediction'
            )
    return checked


def with_pretrained(backbone: dict[str, Any], pretrained: str) -> dict[str, Any]:
    """Return the config of a backbone that begins with the weights of a checkpoint."""
    own = backbone.get('init_cfg') or backbone.get('pretrained')
    if own:
        raise ValueError(
            f"pretrained={pretrained!r} and the backbone's own {own} both say what it begins "
            'with; leave one of them out'
        )
    return {**backbone, 'init_cfg': dict(type='Pretrained', checkpoint=pretrained)}


def _is_size(value: Any) -> bool:
    """Return whether a value is (height, width) of at least a pixel."""
    two = isinstance(value, Sequence) and len(value) == 2
    return two and all(is_whole(one) and one > 0 for one in value)
