"""SECOND, also in the layout of the SenseEarth 2020 release."""

from __future__ import annotations

from typing import Any

from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import SECOND


@DATASETS.register_module()
class SECONDDataset(SCDDataset):
    """SECOND: 512 x 512 pixels at 0.5 to 3 m, six land-cover classes where something changed.

    A raw download works as it is: folders im1, im2, label1, label2 below
    ``data_root`` (``data/second/train``, ``data/second/test``, or the one folder
    of the SenseEarth release), labels as RGB or as palette, no change masks.
    """

    METAINFO: dict[str, Any] = SECOND.metainfo()
