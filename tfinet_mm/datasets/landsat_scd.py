"""Landsat-SCD, from labels of transitions or of each date."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfinet_mm.datasets.roles import SEMANTIC_ROLES
from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import LANDSAT_SCD

CHANGED = ((1, 2), (1, 3), (2, 1), (2, 3), (2, 4), (3, 1), (3, 2), (4, 1), (4, 2))
TRANSITIONS = {0: None, **dict(enumerate(CHANGED, start=1)), 255: 'ignored'}
"""Classes (before, after) of the ten transitions t = 0..9 that the release stores."""

COPY = re.compile(r'[-_ ]?(rotate|crop|zhedang)[^/]*$', re.IGNORECASE)
"""End of the name of an augmented copy, after the name of its source."""


@DATASETS.register_module()
class LandsatSCDDataset(SCDDataset):
    """Landsat-SCD: 416 x 416 pixels at 30 m, four land-cover classes where something changed.

    The release holds pairs A, B and one label of ten transition classes each,
    among them augmented copies (rotated, cropped and resized, occluded) of part
    of the pairs. A copy shows the scene of its source, so it always goes to its
    source's side of a fold, and is never used to validate or test.

    Args:
        labels: 'transition': one folder ``label`` of transitions t = 0..9 for
            both dates. 'per_date': a folder of labels for each date, by
            default ``labelA`` and ``labelB``, of any storage.
        augmented: 'exclude' leaves the copies out; 'include' trains on those
            whose source is there too, since the source decides about the side
            of the fold.
        **kwargs: As for :class:`SCDDataset`.
    """

    METAINFO: dict[str, Any] = LANDSAT_SCD.metainfo()

    def __init__(
        self, labels: str = 'transition', augmented: str = 'exclude', **kwargs: Any
    ) -> None:
        """See the class."""
        for name, value, known in (
            ('labels', labels, ('transition', 'per_date')),
            ('augmented', augmented, ('exclude', 'include')),
        ):
            if value not in known:
                raise ValueError(f'{name} has to be one of {known}, got {value!r}')
        self.labels = labels
        self.augmented = augmented
        if labels == 'transition':
            kwargs = dict(transitions=TRANSITIONS) | kwargs
        super().__init__(**kwargs)

    def default_prefix(self) -> dict[str, str]:
        """Return the folders A, B and label, or labelA and labelB, below ``data_root``."""
        names = ('label', 'label') if self.labels == 'transition' else ('labelA', 'labelB')
        return dict(
            img_path_from='A', img_path_to='B', **dict(zip(SEMANTIC_ROLES, names, strict=True))
        )

    def source_name(self, name: str) -> str:
        """Return the name of the source of an augmented copy; other names stay as they are.

        Example: ``'12_34rotate90'`` and ``'12_34_CropResize1'`` come from ``'12_34'``.
        """
        return COPY.sub('', name)

    def select_names(self, names: Sequence[str]) -> list[str]:
        """Return the pairs of the fold, with copies only in training and only with their source."""
        originals = {name for name in names if not COPY.search(name)}
        kept = super().select_names(names)
        if self.augmented == 'exclude' or self.held_out:
            return [name for name in kept if name in originals]
        return [name for name in kept if self.source_name(name) in originals]

    def _checked_prefix(
        self, prefix: Mapping[str, str | None] | None, test_mode: bool
    ) -> dict[str, str]:
        merged = {**self.default_prefix(), **(prefix if isinstance(prefix, Mapping) else {})}
        semantic = [merged.get(role) for role in SEMANTIC_ROLES]
        if self.labels == 'transition' and semantic[0] != semantic[1]:
            raise ValueError(
                "labels='transition' reads both dates from one folder, but data_prefix has "
                f"{semantic}; give the same folder twice, or set labels='per_date'"
            )
        return super()._checked_prefix(prefix, test_mode)
