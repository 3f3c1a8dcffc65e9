"""Compare the order of the bands of a pair with what a data preprocessor does to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from tfinet_mm.errors import NormalisationError
from tfinet_mm.structures import BAND_ORDER, BGR, RGB

EXCHANGES = ('bgr_to_rgb', 'channel_conversion', '_channel_conversion')
"""Attributes by which preprocessors of this package, mmseg, Open-CD and MMEngine exchange bands."""


def exchanges_bands(metainfo: Mapping[str, Any], bgr_to_rgb: bool | None) -> bool:
    """Return whether red and blue of a pair are to be exchanged.

    Args:
        metainfo: Metainfo of the pair; ``band_order`` is ``'RGB'``, ``'BGR'`` or ``'listed'``,
            or missing where a loader of another package read the files.
        bgr_to_rgb: Option of the data preprocessor; None leaves it to the pair.

    Raises:
        NormalisationError: The network would get BGR, or the order isn't known: the files were
            read by a loader that doesn't state it, and neither does ``bgr_to_rgb``.
    """
    order = metainfo.get(BAND_ORDER)
    name = metainfo.get('sample_id') or metainfo.get('img_path')
    if bgr_to_rgb is None:
        if order is None and metainfo.get('img_path') is not None:
            raise NormalisationError(
                f'the pair {name} does not state the order of its bands, and neither does the '
                "data preprocessor: loaders of mmcv and Open-CD give BGR, this package's RGB. Set "
                'model.data_preprocessor.bgr_to_rgb=True for BGR, False for RGB'
            )
        return order == BGR
    if order in (RGB, BGR) and bgr_to_rgb != (order == BGR):
        raise NormalisationError(
            f'the pair {name} was loaded as {order}, but the data preprocessor has bgr_to_rgb='
            f'{bgr_to_rgb}, so that the network would get BGR; set '
            f'model.data_preprocessor.bgr_to_rgb={order == BGR}'
        )
    return bgr_to_rgb


def check_exchange(preprocessor: nn.Module | None, metainfo: Mapping[str, Any]) -> None:
    """Refuse a pair that another package's data preprocessor has turned into BGR.

    Args:
        preprocessor: A data preprocessor; one without an option to exchange bands passes.
        metainfo: Metainfo of a pair that it has preprocessed.

    Raises:
        NormalisationError: The pair states an order that contradicts the option.
    """
    found = [getattr(preprocessor, key) for key in EXCHANGES if hasattr(preprocessor, key)]
    if found and metainfo.get(BAND_ORDER) is not None:
        exchanges_bands(metainfo, None if found[0] is None else bool(found[0]))
