"""Generate a pair in place of loading it."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from tfinet_mm.datasets.annotations import to_land_cover
from tfinet_mm.datasets.synthetic.world import generate_scene
from tfinet_mm.datasets.transforms.consistency import COMBINATIONS, label_combinations
from tfinet_mm.datasets.transforms.loading import loaded
from tfinet_mm.io.images import join_dates
from tfinet_mm.registry import TRANSFORMS
from tfinet_mm.structures import SECOND, SEG_CHANGE, SEG_FROM, SEG_TO


@TRANSFORMS.register_module()
class LoadGeneratedPair(BaseTransform):
    """Generate the images, the change and the land cover of a pair.

    The pair is one of :class:`~tfinet_mm.datasets.generated_scd.GeneratedSCDDataset`.

    Required keys: ``number``, ``world``.

    Added keys: ``img`` (H, W, 6) uint8, RGB of both dates; ``gt_seg_map``, ``gt_seg_map_from``,
    ``gt_seg_map_to`` (H, W) uint8, listed in ``seg_fields``; ``label_combinations``; the keys that
    :class:`~tfinet_mm.datasets.transforms.loading.LoadImagePair` adds.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Generate a pair."""
        pair = generate_scene(results['number'], results['world'])
        name = f'scene {results["number"]}'
        results['img_path'] = [f'{name} before', f'{name} after']
        results |= loaded(join_dates(pair.before, pair.after), None)
        results[SEG_CHANGE] = (pair.label_from > 0).astype(np.uint8)
        results[SEG_FROM] = to_land_cover(pair.cover_from)
        results[SEG_TO] = to_land_cover(pair.cover_to)
        results['seg_fields'] = [SEG_CHANGE, SEG_FROM, SEG_TO]
        results[COMBINATIONS] = label_combinations(
            results[SEG_CHANGE], results[SEG_FROM], results[SEG_TO], SECOND.num_classes
        )
        return results

    def __repr__(self) -> str:
        """Name."""
        return f'{type(self).__name__}()'
