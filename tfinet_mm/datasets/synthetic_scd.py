"""The synthetic data set, with labels in SECOND's convention or full land cover."""

from __future__ import annotations

from typing import Any

from tfinet_mm.datasets.roles import CHANGE_ROLE
from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import SECOND


@DATASETS.register_module()
class SyntheticSCDDataset(SCDDataset):
    """Synthetic pairs with SECOND's classes, below ``data_root`` (``data/synthetic/train``).

    Args:
        full_cover: Train on the land cover of every pixel (folders cover1,
            cover2), which SECOND doesn't have, instead of that of changed
            pixels (label1, label2). The change comes from label1 in both cases.
        **kwargs: As for :class:`SCDDataset`.
    """

    METAINFO: dict[str, Any] = SECOND.metainfo()

    def __init__(self, full_cover: bool = False, **kwargs: Any) -> None:
        """See the class."""
        self.full_cover = full_cover
        if full_cover:
            kwargs = dict(label_semantics='land_cover', change_storage='semantic') | kwargs
        super().__init__(**kwargs)

    def default_prefix(self) -> dict[str, str]:
        """Return the folders below ``data_root``, by ``full_cover``."""
        folders = super().default_prefix()
        if self.full_cover:
            folders.update(seg_map_path_from='cover1', seg_map_path_to='cover2')
            folders[CHANGE_ROLE] = 'label1'
        return folders
