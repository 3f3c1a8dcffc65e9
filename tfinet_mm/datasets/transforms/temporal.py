"""Augmentation in time: the two dates of a pair exchanged."""

from __future__ import annotations

import random
from typing import Any

from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from tfinet_mm.datasets.transforms.consistency import COMBINATIONS
from tfinet_mm.io.images import join_dates, split_dates
from tfinet_mm.registry import TRANSFORMS
from tfinet_mm.structures import SEG_FROM, SEG_TO, WEIGHT_FROM, WEIGHT_TO


@TRANSFORMS.register_module()
class ExchangeDates(BaseTransform):
    """Exchange the two dates of a pair with a given probability.

    Images, land cover, weights and paths are exchanged. The change map stays the
    same.

    Required keys: ``img`` (H, W, 2B). Modified keys: ``img``,
    ``gt_seg_map_from`` and ``gt_seg_map_to``, ``gt_weight_from`` and
    ``gt_weight_to``, ``img_path``, ``seg_map_path_from`` and
    ``seg_map_path_to``, ``exchanged``.

    Args:
        prob: Probability of exchanging.

    Raises:
        ValueError: ``prob`` is not in 0..1.
    """

    PAIRS = (
        (SEG_FROM, SEG_TO),
        (WEIGHT_FROM, WEIGHT_TO),
        ('seg_map_path_from', 'seg_map_path_to'),
    )

    def __init__(self, prob: float = 0.5) -> None:
        """See the class."""
        if not 0 <= prob <= 1:
            raise ValueError(f'prob has to be in 0 .. 1, got {prob}')
        self.prob = prob

    @cache_randomness
    def choose(self) -> bool:
        """Draw whether to exchange."""
        return random.random() < self.prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Exchange the dates, or return the pair as it is."""
        if not self.choose():
            return results
        before, after = split_dates(results['img'])
        results['img'] = join_dates(after, before)
        for first, second in self.PAIRS:
            if first in results and second in results:
                results[first], results[second] = results[second], results[first]
        if COMBINATIONS in results:
            results[COMBINATIONS] = frozenset((c, to, fr) for c, fr, to in results[COMBINATIONS])
        if 'img_path' in results:
            results['img_path'] = list(reversed(results['img_path']))
        results['exchanged'] = not results.get('exchanged', False)
        return results

    def __repr__(self) -> str:
        """Name and options."""
        return f'{type(self).__name__}(prob={self.prob})'
