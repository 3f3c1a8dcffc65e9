"""HRSCD: land cover of every pixel on both dates and a separate change map, in large tiles."""

from __future__ import annotations

from typing import Any

from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import HRSCD

NAME_PATTERN = r'(?<=\d\d)-(19|20)\d\d(?=-)|-0M50-E080$'
"""Parts that differ between the names of a tile's files: the year and the mark of 2012 images."""


@DATASETS.register_module()
class HRSCDDataset(SCDDataset):
    """HRSCD: 291 pairs of tiles, 10000 x 10000 pixels at 0.5 m, five classes on every pixel.

    Tiles are read in windows (``window=(512, 512)``). Listing the data set reads
    only the header of each tile. Names such as
    ``D14/14-2005-0415-6890-LA93`` and ``D14/14-2012-0415-6890-LA93-0M50-E080``
    are one tile. Needs rasterio (``pip install "tfinet-mm[geo]"``).

    Args:
        img_suffix: Suffix of the images.
        seg_map_suffix: Suffix of the labels.
        label_semantics: ``'land_cover'``, since labels have the class of every pixel.
        key_pattern: Pattern of the parts to remove from names before comparing them.
        **kwargs: As for :class:`SCDDataset`.
    """

    METAINFO: dict[str, Any] = HRSCD.metainfo()

    def __init__(
        self,
        img_suffix: str = '.tif',
        seg_map_suffix: str = '.tif',
        label_semantics: str = 'land_cover',
        key_pattern: str | None = NAME_PATTERN,
        **kwargs: Any,
    ) -> None:
        """See the class."""
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            label_semantics=label_semantics,
            key_pattern=key_pattern,
            **kwargs,
        )

    def default_prefix(self) -> dict[str, str]:
        """Return the folders of the release once its archives are unpacked below ``data_root``."""
        return dict(
            img_path_from='images_2006/2006',
            img_path_to='images_2012/2012',
            seg_map_path_from='labels_land_cover_2006/2006',
            seg_map_path_to='labels_land_cover_2012/2012',
            seg_map_path='labels_change/change',
        )
